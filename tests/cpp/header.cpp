/* Every name of numapool.hpp used once, in two files of one program (HALF), without what needs exceptions
   unless there are some. */
#include <numapool/numapool.hpp>
#include <vector>

using np = numapool;

std::error_code second_half(np::pool &pool, np::group &group, int &ran);

#if HALF == 2

std::error_code second_half(np::pool &pool, np::group &group, int &ran)
{
    struct {
        int *to;
        char more[90];
        void operator()() const noexcept
        {
            ++*to;
        }
    } large = {&ran, {}};
    if (std::error_code code = group.submit(large)) {
        return code;
    }
    if (std::error_code code = group.wait()) {
        return code;
    }
    return pool.submit_wait(
        np::on_drop([&ran] { ++ran; }, [](std::error_code why) { static_cast<void>(why); }),
        np::forever, np::task_options().critical());
}

#else

int main()
{
    np::config settings;
    settings.workers_max(2).queue_tasks(64).name("hpp");
    struct numapool_error details = {};
    np::pool pool(nullptr);
    np::group group(nullptr);
    if (np::pool::create(pool, &settings, &details) || np::group::create(group, pool)) {
        return 1;
    }
    int ran = 0;
    if (second_half(pool, group, ran) || pool.drain() || ran != 2) {
        return 2;
    }
    std::error_code refused = pool.submit([&ran]() noexcept { ran++; });
    if (refused != np::errc::closed || refused.category() != np::category() ||
        np::try_later(refused)) {
        return 3;
    }
    {
        np::block_guard outside_a_task;
    }
#if NUMAPOOL_CPP_EXCEPTIONS
    try {
        np::pool full(settings);
        np::group thrower(full);
        if (thrower.submit([] { throw 1; })) {
            return 4;
        }
        (void)thrower.wait();
        return 5;
    } catch (const np::error &) {
        return 6;
    } catch (int) {
    }
    np::pool other(settings);
    np::node_resource memory(other, 0);
    std::pmr::vector<int> numbers(100, 7, &memory);
    if (numbers[99] != 7) {
        return 7;
    }
#endif
    return pool.close() ? 8 : 0;
}

#endif
