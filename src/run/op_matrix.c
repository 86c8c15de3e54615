/* op_matrix.c: products with a matrix: of rows that are resident, or that are streamed unit by
 * unit. A task is some rows and some columns (tokens), up to as many as kernels keep sums of:
 * short ones, whatever the batch. Tasks that follow each other go down the rows, so the same
 * activations (0.4 MiB at 2048 inputs) meet all weights of a worker before it turns to the next
 * columns. */

/* A task: about 64 KiB of weights (some microseconds), and of the order of 16 M products (some
 * tenths of a millisecond). */
enum { AIOS__TASK_BYTES = 65536, AIOS__TASK_PRODUCTS = 1 << 24, AIOS__TASK_COLS = 32 };
/* Rows of a task that meets cols columns: whole pairs of panels, which kernels for many columns
 * take together. */
static int32_t aios__task_rows(uint64_t row_bytes, int64_t n_in, int64_t n_out, int64_t cols) {
    int64_t rows = (int64_t)(AIOS__TASK_BYTES / row_bytes),
            most = cols ? AIOS__TASK_PRODUCTS / (n_in * cols) : n_out;
    if (rows > most) rows = most;
    if (rows > n_out) rows = n_out;
    return rows < 32 ? 32 : (int32_t)(rows / 32 * 32);
}
/* Columns of a task of so many rows, of which there are n in all. Long rows: fewer columns, while
 * unpacking a weight for so few costs next to nothing: at 64 nothing that can be measured, at 32
 * some percent of the product, at 16 twenty. */
static int32_t aios__task_cols(int64_t rows, int64_t n_in, int64_t n) {
    int32_t cols = AIOSK__MAX_COLS;
    while (cols > AIOS__TASK_COLS && rows * n_in * (cols < n ? cols : n) > AIOS__TASK_PRODUCTS)
        cols /= 2;
    return cols;
}

/* n_rows of the matrix m->w stands for, in the task's place; m->y and m->bias are those of its
 * first row. */
static void aios__matrix_task(const aios__op *o, const aios__run *r, aiosk_matmul *m,
                              int32_t n_rows, int32_t task, int32_t worker) {
    const aios__op_matrix *x = &o->u.matrix;
    int32_t blocks = (n_rows + x->rows_per_task - 1) / x->rows_per_task,
            col = task / blocks * x->cols_per_task, n = aios__op_rows(o, r);
    m->n_in = x->n_in;
    m->x = x->x + (uint64_t)col * x->x_stride;
    m->x_stride = x->x_stride;
    m->y += (uint64_t)col * x->y_stride;
    m->y_stride = x->y_stride;
    m->row0 = task % blocks * x->rows_per_task;
    m->row1 = n_rows - m->row0 < x->rows_per_task ? n_rows : m->row0 + x->rows_per_task;
    m->n_cols = n - col < x->cols_per_task ? n - col : x->cols_per_task;
    m->flags = x->add ? (uint32_t)AIOSK_MM_ADD : 0;
    if (x->mm)
        x->mm(m);
    else
        aiosk_matmul_reference(o->type, m, aios__work_f32(r, worker));
}
static int32_t aios__matrix_cut(const aios__op *o, const aios__run *r, int32_t n_rows) {
    const aios__op_matrix *x = &o->u.matrix;
    return (aios__op_rows(o, r) + x->cols_per_task - 1) / x->cols_per_task *
           ((n_rows + x->rows_per_task - 1) / x->rows_per_task);
}
static void aios__op_matrix_run(const aios__op *o, const aios__run *r, int32_t task,
                                int32_t worker) {
    aiosk_matmul m;
    memset(&m, 0, sizeof m);
    m.w = o->u.matrix.w;
    m.bias = o->u.matrix.bias;
    m.y = o->u.matrix.y;
    aios__matrix_task(o, r, &m, o->u.matrix.n_out, task, worker);
}
static int32_t aios__matrix_tasks(const aios__op *o, const aios__run *r) {
    return aios__matrix_cut(o, r, o->u.matrix.n_out);
}
/* All weights are read once for each block of columns. */
static void aios__matrix_read(const aios__op *o, const aios__run *r, aios_counters *c) {
    uint64_t cols = (uint64_t)o->u.matrix.cols_per_task;
    aios__count_read(c, o->tier, o->w_bytes * (((uint64_t)aios__op_rows(o, r) + cols - 1) / cols));
}
static void aios__matrix_wrote(const aios__op *o, aios__acts *a) {
    aios__wrote_f32(a, o->u.matrix.y, o->u.matrix.y_stride, o->u.matrix.n_out);
}
/* clang-format off */
static const aios__op_kind aios__kind_matrix = { "matrix", aios__op_matrix_run, aios__matrix_tasks,
    aios__matrix_read, aios__matrix_wrote, 0, AIOS__PLAIN };
/* clang-format on */

/* ---- streamed ---- */
static int32_t aios__unit_rows_now(const aios__op *o, const aios__run *r) {
    int32_t left = o->u.matrix.n_out - r->round * o->u.matrix.unit_rows;
    return left < o->u.matrix.unit_rows ? left : o->u.matrix.unit_rows;
}
static void aios__op_streamed_run(const aios__op *o, const aios__run *r, int32_t task,
                                  int32_t worker) {
    int32_t row0 = r->round * o->u.matrix.unit_rows;
    aiosk_matmul m;
    memset(&m, 0, sizeof m);
    m.w = r->streamed; /* this round's rows are the matrix */
    m.bias = o->u.matrix.bias ? o->u.matrix.bias + row0 : NULL;
    m.y = o->u.matrix.y + row0;
    aios__matrix_task(o, r, &m, aios__unit_rows_now(o, r), task, worker);
}
static int32_t aios__streamed_tasks(const aios__op *o, const aios__run *r) {
    return aios__matrix_cut(o, r, aios__unit_rows_now(o, r));
}
static int32_t aios__streamed_rounds(const aios__op *o, const aios__run *r) {
    (void)r;
    return o->n_units;
}
static int32_t aios__streamed_ready(const aios__op *o, aios__run *r, uint64_t timeout_ns) {
    int32_t there = aios__stream_try(r->stream, timeout_ns);
    (void)o;
    if (there != 1) return there;
    r->streamed = aios__stream_data(r->stream);
    r->count->n_units++;
    return 1;
}
static void aios__streamed_leave(const aios__op *o, aios__run *r) {
    (void)o;
    aios__stream_pass(r->stream);
}
/* Nobody wants these rows now. */
static void aios__streamed_skip(const aios__op *o, aios__run *r) {
    for (int32_t i = 0; i < o->n_units; i++) aios__stream_pass(r->stream);
}
/* clang-format off */
static const aios__op_kind aios__kind_streamed_matrix = { "streamed_matrix", aios__op_streamed_run,
    aios__streamed_tasks, aios__matrix_read, aios__matrix_wrote, 1, aios__streamed_rounds, NULL,
    aios__streamed_ready, aios__streamed_leave, aios__streamed_skip, NULL };
/* clang-format on */
