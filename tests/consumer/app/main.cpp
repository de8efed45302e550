// A program of somebody who has the installed package, in C++.
#include <iostream>
#include <numapool/numapool.hpp>

int main()
{
    numapool::pool pool;
    int seen = 0;
    numapool::group group(pool);
    if (group.submit([&seen] { seen = 42; }) || group.wait() || seen != 42) {
        std::cerr << "seen " << seen << '\n';
        return 1;
    }
    std::cout << "numapool " << numapool_version() << " ran the task\n";
}
