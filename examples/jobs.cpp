// jobs.cpp: the model on the threads of a C++ program: std::thread workers that share a counter, the smallest job system that will do.
// At the end the same text is made on one thread: the logits must be the same bits.
//     c++ -std=c++11 -O2 -I. examples/jobs.cpp -o jobs -pthread && ./jobs          from the root of the repository
#define AIOS_IMPLEMENTATION
#define AIOS_DEFAULT_ALLOC
#define AIOS_NO_THREADS                 // the library starts none: it borrows ours
#include "aios.h"
#include "tale.h"
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

class Jobs {                            // worker 0 is the thread that calls run
public:
    explicit Jobs(int32_t n) : n_workers(n) { for (int32_t w = 1; w < n; w++) threads.emplace_back([this, w] { loop(w); }); }
    ~Jobs() {
        { std::lock_guard<std::mutex> hold(lock); quit = true; }
        posted.notify_all();
        for (std::thread &t : threads) t.join();
    }
    void run(int32_t n, aios_task_fn f, void *a) {
        { std::lock_guard<std::mutex> hold(lock); fn = f; arg = a; n_jobs = n; next = 0; n_busy = n_workers; batch++; }
        posted.notify_all();
        work(0);
        std::unique_lock<std::mutex> hold(lock);
        finished.wait(hold, [this] { return n_busy == 0; });
    }
    static void parallel_for(void *user, int32_t n, aios_task_fn fn, void *arg) { static_cast<Jobs *>(user)->run(n, fn, arg); }
    const int32_t n_workers;
private:
    void work(int32_t worker) {
        for (int32_t i; (i = next++) < n_jobs; ) fn(arg, i, worker);
        std::lock_guard<std::mutex> hold(lock);
        if (--n_busy == 0) finished.notify_one();
    }
    void loop(int32_t worker) {
        for (uint64_t seen = 0;; ) {
            { std::unique_lock<std::mutex> hold(lock); posted.wait(hold, [&] { return quit || batch != seen; }); if (quit) return; seen = batch; }
            work(worker);
        }
    }
    std::vector<std::thread> threads;
    std::mutex lock;
    std::condition_variable posted, finished;
    std::atomic<int32_t> next{0};
    aios_task_fn fn = nullptr;
    void *arg = nullptr;
    int32_t n_jobs = 0, n_busy = 0;
    uint64_t batch = 0;
    bool quit = false;
};

static uint64_t tell(Jobs *jobs, std::string *text) {      // a hash of all logits; 0 = failed. jobs may be nullptr
    aios_io io;             aios_io_memory(&io, tale_gguf, tale_gguf_bytes);
    aios_model_desc md;     aios_model_desc_init(&md);      md.io = &io;
    aios_plan_desc pd;      aios_plan_desc_init(&pd);       pd.n_ctx = 128;  pd.n_threads = jobs ? jobs->n_workers : 1;
    aios_plan plan;         aios_plan_init(&plan);
    aios_context_desc cd;   aios_context_desc_init(&cd);
    if (jobs) { cd.parallel_for = Jobs::parallel_for;  cd.parallel_user = jobs; }
    aios_sampler greedy;    aios_sampler_init(&greedy);
    aios_model_info info;   aios_model_info_init(&info);
    aios_detok detok = {};  aios_error err = {};
    aios_model *model = nullptr;  aios_context *ctx = nullptr;
    uint64_t hash = 0xCBF29CE484222325u;
    int32_t ids[64], n = 0;
    if (!aios_model_open(&md, &model, &err) && !aios_plan_make(model, &pd, &plan, &err) && !aios_context_open(model, &plan, &cd, &ctx, &err))
        n = (int32_t)aios_tokenize(model, text->data(), text->size(), AIOS_TOK_BOS, ids, 64, &err);
    if (n < 1 || n > 64 || aios_model_get_info(model, &info)) { fprintf(stderr, "%s\n", err.text); hash = 0; }
    for (int i = 0; i < 48 && hash; i++, n = 1) {
        char buf[1024];
        if (aios_feed(ctx, 0, ids, (uint64_t)n, 0, &err) || aios_step(ctx, 0, &err) || aios_sample(ctx, 0, &greedy, ids, &err)) { fprintf(stderr, "%s\n", err.text); hash = 0; break; }
        const unsigned char *b = reinterpret_cast<const unsigned char *>(aios_logits(ctx, 0));
        for (size_t k = 0; k < (size_t)info.n_vocab * sizeof(float); k++) hash = (hash ^ b[k]) * 0x100000001B3u;
        text->append(buf, (size_t)aios_detokenize(model, &detok, ids[0], buf, sizeof buf));
    }
    aios_context_free(ctx);
    aios_model_free(model);
    return hash;
}

int main() {
    std::string one = "Once upon a time there was a miller who", many = one;
    Jobs jobs(3);
    const uint64_t with = tell(&jobs, &many), without = tell(nullptr, &one);
    printf("%s\n\nlogits with %d workers %016llx, with one %016llx: %s\n", many.c_str(), (int)jobs.n_workers, (unsigned long long)with,
           (unsigned long long)without, with == without && with ? "the same bits" : "THEY DIFFER");
    return !(with && with == without && one == many);
}
