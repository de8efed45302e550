/*
 * numapool-bench: the one file that knows Google Benchmark. Registers each row of the table in C, runs it,
 * and passes on what it says; with --compare it runs them interleaved and leaves the sums to
 * compare.c. All else is Google Benchmark's: its flags, its console, its JSON.
 */
#include "suite/bench.h"

#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include <unistd.h>

namespace
{

bench_run last; /* of the row that ran last, for the one who collects */

void ask(benchmark::State &state, const bench_row *row)
{
    while (state.KeepRunningBatch(state.max_iterations)) {
        bench_ask(row, state.max_iterations, &last);
        if (last.why_not[0] != '\0') {
            state.SkipWithError(last.why_not);
            break;
        }
        state.SetIterationTime(last.seconds);
    }
    for (size_t i = 0; i < last.figure_count; i++) {
        state.counters[last.figures[i].name] = last.figures[i].value;
    }
}

void register_rows()
{
    const bench_row *rows = nullptr;
    size_t count = bench_rows(&rows);
    for (size_t i = 0; i < count; i++) {
        const bench_row *row = &rows[i];
        auto *registered = benchmark::RegisterBenchmark(
            row->name, [row](benchmark::State &state) { ask(state, row); });
        registered->UseManualTime();
        int64_t iterations = row->question->iterations;
        if (bench_quick) {
            iterations = iterations < 10 && iterations != 0 ? 1 : 10;
        }
        if (iterations != 0) {
            registered->Iterations(iterations);
        }
    }
}

void tidy(std::vector<benchmark::BenchmarkReporter::Run> *runs)
{
    for (auto &run : *runs) {
        run.run_name.time_type.clear(); /* all times are ours; the suffix says nothing */
        run.run_name.iterations.clear();
    }
}

/* Google Benchmark's JSON with names as the table has them. */
class File : public benchmark::JSONReporter
{
  public:
    void ReportRuns(const std::vector<Run> &runs) override
    {
        std::vector<Run> copy = runs;
        tidy(&copy);
        JSONReporter::ReportRuns(copy);
    }
};

/* Keeps one file over many calls of RunSpecifiedBenchmarks(), one for each row of a round. */
class Collector : public File
{
  public:
    bool ReportContext(const Context &context) override
    {
        bool first = !begun_;
        begun_ = true;
        return !first || JSONReporter::ReportContext(context);
    }
    void ReportRuns(const std::vector<Run> &runs) override
    {
        std::vector<Run> copy = runs;
        for (auto &run : copy) {
            for (size_t i = 0; i < last.figure_count; i++) {
                run.counters[last.figures[i].name] = last.figures[i].value;
            }
            run.repetition_index = round_;
            run.repetitions = rounds_;
        }
        File::ReportRuns(copy);
    }
    void Finalize() override
    {
    }
    void end()
    {
        if (begun_) {
            JSONReporter::Finalize();
        }
    }
    int64_t round_ = 0, rounds_ = 0;

  private:
    bool begun_ = false;
};

/* Hands what came of a row to compare.c before it goes into the file. */
class Interleaved : public Collector
{
  public:
    explicit Interleaved(bench_compare *compare) : compare_(compare)
    {
    }
    void ReportRuns(const std::vector<Run> &runs) override
    {
        bench_compare_note(compare_, &last);
        Collector::ReportRuns(runs);
    }

  private:
    bench_compare *compare_;
};

int compare(const char *filter, unsigned rounds, const char *path)
{
    std::ofstream file;
    if (path != nullptr) {
        file.open(path);
        if (!file) {
            std::fprintf(stderr, "numapool-bench: %s cannot be written\n", path);
            return 2;
        }
    }
    bench_compare *plan = bench_compare_begin(filter, rounds);
    if (plan == nullptr) {
        std::fprintf(stderr, "numapool-bench: nothing to compare is named like '%s'\n", filter);
        return 2;
    }
    Interleaved reporter(plan);
    std::ofstream nowhere;
    reporter.SetOutputStream(path != nullptr ? &file : &nowhere);
    reporter.rounds_ = rounds;
    const bench_row *row = nullptr;
    unsigned round = 0;
    while (bench_compare_next(plan, &row, &round)) {
        reporter.round_ = round;
        std::string name = std::string("^") + row->name + "(/iterations:[0-9]+)?/manual_time$";
        benchmark::RunSpecifiedBenchmarks(&reporter, name);
        bench_leave();
    }
    reporter.end();
    bench_compare_print(plan);
    bench_compare_end(plan);
    file.close();
    return path != nullptr && !file ? 2 : 0;
}

void usage()
{
    std::printf(
        "usage: numapool-bench [--benchmark_FLAG...]           rows one after the other\n"
        "       numapool-bench --compare [--rounds N] [--only REGEX] [--out FILE]\n"
        "                      [--quick] [--benchmark_min_time=S]   contenders interleaved\n"
        "       numapool-bench --questions                    what is asked, and of whom\n"
        "Google Benchmark's flags:\n");
    benchmark::PrintDefaultHelp();
}

void questions()
{
    for (auto question = bench_questions; *question != nullptr; question++) {
        std::printf("%-12s %s\n", (*question)->name, (*question)->asks);
        for (size_t i = 0; (*question)->contender != nullptr; i++) {
            const char *name = (*question)->contender(i);
            if (name == nullptr) {
                std::printf("\n");
                break;
            }
            std::printf("%s%s", i == 0 ? "             of " : ", ", name);
        }
    }
}

} // namespace

int main(int argc, char **argv)
{
    /* Room for the thread-local memory of an allocator that is loaded later: the C library reads this
       when a program starts. */
    if (std::getenv("GLIBC_TUNABLES") == nullptr &&
        setenv("GLIBC_TUNABLES", "glibc.rtld.optional_static_tls=16384", 0) == 0) {
        (void)execv("/proc/self/exe", argv);
    }
    bool compared = false;
    const char *filter = "", *path = nullptr;
    unsigned rounds = 5;
    std::vector<char *> rest = {argv[0]};
    /* First, so that one on the command line wins. */
    static char min_time[] = "--benchmark_min_time=0.15",
                decimals[] = "--benchmark_counters_tabular=false";
    rest.push_back(min_time);
    rest.push_back(decimals);
    for (int i = 1; i < argc; i++) {
        std::string word = argv[i];
        bool more = i + 1 < argc;
        if (word == "--compare") {
            compared = true;
        } else if (word == "--quick") {
            bench_quick = true;
        } else if (word == "--questions") {
            questions();
            return 0;
        } else if (word == "--rounds" && more) {
            rounds = static_cast<unsigned>(std::strtoul(argv[++i], nullptr, 10));
        } else if (word == "--only" && more) {
            filter = argv[++i];
        } else if (word == "--out" && more) {
            path = argv[++i];
        } else {
            rest.push_back(argv[i]);
        }
    }
    int count = static_cast<int>(rest.size());
    rest.push_back(nullptr);
    benchmark::Initialize(&count, rest.data(), usage);
    if (benchmark::ReportUnrecognizedArguments(count, rest.data()) || rounds == 0) {
        return 2;
    }
    bench_context(
        [](const char *name, const char *value) { benchmark::AddCustomContext(name, value); });
    register_rows();
    int result = 0;
    if (compared) {
        result = compare(filter, rounds, path);
    } else {
        File file;
        bool filed = false;
        for (char *word : rest) {
            filed = filed || (word != nullptr && std::strncmp(word, "--benchmark_out=", 16) == 0);
        }
        benchmark::RunSpecifiedBenchmarks(nullptr, filed ? &file : nullptr);
        bench_leave();
    }
    benchmark::Shutdown();
    return result;
}
