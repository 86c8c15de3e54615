/* late.h: a clock that moves on when it is asked and when something is read, and what a deadline promises, counted: once it has passed, one task or one
 * read is begun at the most, and that only by a call that came too late already. Included after aios.h and test.h. */
#ifndef AIOS_TEST_LATE_H
#define AIOS_TEST_LATE_H

/* n_io: reads, or pages from and to the host; n_share: calls of the host's parallel_for; n_late: those of both that were begun
 * after the deadline. All in the caller's thread. */
typedef struct late_clock { uint64_t now, deadline, cost; int32_t n_io, n_share, n_late, passed; } late_clock;

TEST_FN uint64_t late_now(void *user) { return __atomic_add_fetch(&((late_clock *)user)->now, 1, __ATOMIC_SEQ_CST); }        /* by any worker */
/* The clock is asked twice between the last look at a deadline and what is begun. */
TEST_FN void late_begin(late_clock *l, int32_t *n) { ++*n; l->n_late += l->deadline && l->now >= l->deadline + 2; }
TEST_FN void late_io(late_clock *l) {
    late_begin(l, &l->n_io);
    __atomic_add_fetch(&l->now, l->cost, __ATOMIC_SEQ_CST);
}
TEST_FN void late_for(void *user, int32_t n, aios_task_fn fn, void *arg) {
    int32_t i;
    late_begin((late_clock *)user, &((late_clock *)user)->n_share);
    for (i = 0; i < n; i++) fn(arg, i, i % 2);
}
/* The deadline of the next call: passed already, or some time ahead. */
TEST_FN uint64_t late_next(late_clock *l, uint64_t *seed) {
    uint64_t r = test_rand(seed);
    l->passed = r % 4 == 0;
    l->n_io = l->n_share = l->n_late = 0;
    return l->deadline = l->passed ? 1 : l->now + 10 + (r >> 8) % (r % 4 == 1 ? 60 : 3 * l->cost);
}
TEST_FN int late_held(const late_clock *l) { return l->passed ? l->n_io + l->n_share <= 1 : l->n_late == 0; }

#endif
