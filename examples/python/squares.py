"""numapool from Python, by ctypes: a pool, a group of tasks, a wait, and the pool's account.

    python3 squares.py [LIBRARY]        # the path of libnumapool.so; found by the loader without one

Tasks that are Python functions take turns at the interpreter's lock, so this shows the calls, not speed: what gains are
tasks that are C functions, of any library that ctypes has loaded.
"""
import ctypes
import sys
import threading
import time

OK = 0
TRY_LATER = (-1, -2)  # NUMAPOOL_E_FULL, NUMAPOOL_E_SHED
FOREVER = 2**64 - 1

RUN = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
DROP = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int)


class Task(ctypes.Structure):  # struct numapool_task
    _fields_ = [
        ("run", RUN), ("arg", ctypes.c_void_p), ("drop", DROP), ("group", ctypes.c_void_p),
        ("deadline_ns", ctypes.c_uint64), ("near_data", ctypes.c_void_p), ("bytes", ctypes.c_size_t),
        ("node", ctypes.c_int), ("task_class", ctypes.c_int), ("flags", ctypes.c_uint),
        ("reserved", ctypes.c_uint64 * 4),
    ]


class Stats(ctypes.Structure):  # struct numapool_stats, as much of it as is wanted: struct_size says so
    _fields_ = [("struct_size", ctypes.c_size_t), ("submitted", ctypes.c_uint64),
                ("accepted", ctypes.c_uint64), ("run", ctypes.c_uint64), ("dropped", ctypes.c_uint64)]


class Error(ctypes.Structure):  # struct numapool_error
    _fields_ = [("text", ctypes.c_char * 4096), ("sys_errno", ctypes.c_int), ("count", ctypes.c_int)]


def load(path):
    library = ctypes.CDLL(path)
    pointer = ctypes.c_void_p
    for name, result, arguments in (
            ("numapool_version", ctypes.c_char_p, []),
            ("numapool_strerror", ctypes.c_char_p, [ctypes.c_int]),
            ("numapool_create", ctypes.c_int, [ctypes.POINTER(pointer), pointer, ctypes.POINTER(Error)]),
            ("numapool_submit_task", ctypes.c_int, [pointer, ctypes.POINTER(Task)]),
            ("numapool_retry_after_ns", ctypes.c_uint64, [pointer]),
            ("numapool_group_create", ctypes.c_int, [ctypes.POINTER(pointer), pointer]),
            ("numapool_group_wait", ctypes.c_int, [pointer, ctypes.c_uint64]),
            ("numapool_group_destroy", ctypes.c_int, [pointer]),
            ("numapool_stats", ctypes.c_int, [pointer, ctypes.POINTER(Stats)]),
            ("numapool_destroy", ctypes.c_int, [pointer])):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def main():
    np = load(sys.argv[1] if len(sys.argv) > 1 else "libnumapool.so.0.1")

    def check(result):
        if result != OK:
            sys.exit("numapool: " + np.numapool_strerror(result).decode())

    pool, group, error = ctypes.c_void_p(), ctypes.c_void_p(), Error()
    if np.numapool_create(ctypes.byref(pool), None, ctypes.byref(error)) != OK:
        sys.exit("no pool: " + error.text.decode())
    total, lock = 0, threading.Lock()

    @RUN  # must stay referenced as long as tasks may call it: until the pool is destroyed
    def square(arg):
        nonlocal total
        with lock:
            total += (arg or 0) ** 2

    try:
        check(np.numapool_group_create(ctypes.byref(group), pool))
        for number in range(1000):
            task = Task(run=square, arg=number, group=group)
            while (result := np.numapool_submit_task(pool, ctypes.byref(task))) in TRY_LATER:
                time.sleep(np.numapool_retry_after_ns(pool) / 1e9)
            check(result)

        check(np.numapool_group_wait(group, FOREVER))  # ctypes lets other threads run meanwhile
        stats = Stats(struct_size=ctypes.sizeof(Stats))
        check(np.numapool_stats(pool, ctypes.byref(stats)))
        print(f"python: {stats.accepted} accepted, {stats.run} run, sum {total}")
    finally:  # also after an error or Ctrl-C: what waits is dropped, what runs ends
        np.numapool_group_destroy(group)
        result = np.numapool_destroy(pool)
    check(result)


if __name__ == "__main__":
    main()
