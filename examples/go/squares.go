// numapool from Go, by cgo: a pool, a group of tasks, a wait, and the pool's account.
//
//	CGO_CFLAGS="$(pkg-config --cflags numapool)" CGO_LDFLAGS="$(pkg-config --libs numapool)" go build
//
// A task that is a Go function costs a call from C into Go (some hundred nanoseconds) and its goroutine keeps the worker's
// thread. What gains are tasks that are C functions, and calls of C libraries that want memory of one node.
package main

/*
#include <numapool/numapool.h>
#include <stdint.h>

// numapool's own types of functions, and arguments that are numbers: what Go keeps is a handle, never a pointer.
extern void numapoolRun(uintptr_t handle);
extern void numapoolDrop(uintptr_t handle, int why);

static void run_go(void *arg) { numapoolRun((uintptr_t)arg); }
static void drop_go(void *arg, int why) { numapoolDrop((uintptr_t)arg, why); }

// The hint is about the thread's own last refusal, and between two calls a goroutine may change threads: one call asks both.
static inline int submit_go(numapool *pool, numapool_group *group, uintptr_t handle, uint64_t *again_ns)
{
    struct numapool_task task = {.run = run_go, .drop = drop_go, .arg = (void *)handle, .group = group};
    int result = numapool_submit_task(pool, &task);
    *again_ns = result == NUMAPOOL_E_FULL || result == NUMAPOOL_E_SHED ? numapool_retry_after_ns(pool) : 0;
    return result;
}

static inline int create_go(numapool **pool, struct numapool_error *error)
{
    return numapool_create(pool, 0, error);
}
*/
import "C"

import (
	"errors"
	"fmt"
	"os"
	"runtime/cgo"
	"sync/atomic"
	"time"
)

// Pool owns a pool.
type Pool struct{ c *C.numapool }

// Group is a set of tasks to wait for.
type Group struct {
	c    *C.numapool_group
	pool *Pool
}

func result(code C.int) error {
	if code == C.NUMAPOOL_OK {
		return nil
	}
	return errors.New("numapool: " + C.GoString(C.numapool_strerror(code)))
}

// New makes a pool of the defaults and the environment.
func New() (*Pool, error) {
	var pool Pool
	var details C.struct_numapool_error
	if C.create_go(&pool.c, &details) != C.NUMAPOOL_OK {
		return nil, errors.New("no pool: " + C.GoString(&details.text[0]))
	}
	return &pool, nil
}

// Close drops what waits, waits for what runs, and frees the pool. Closing it again does nothing.
func (pool *Pool) Close() error {
	err := result(C.numapool_destroy(pool.c))
	if err == nil {
		pool.c = nil
	}
	return err
}

// Group makes a group of tasks of the pool.
func (pool *Pool) Group() (*Group, error) {
	group := Group{pool: pool}
	return &group, result(C.numapool_group_create(&group.c, pool.c))
}

// Submit hands a function to the pool as a member of the group, and tries again while the pool says that it is full.
func (group *Group) Submit(task func()) error {
	handle := cgo.NewHandle(task)
	for {
		var again C.uint64_t
		code := C.submit_go(group.pool.c, group.c, C.uintptr_t(handle), &again)
		if code == C.NUMAPOOL_OK {
			return nil // the task deletes the handle, or its drop does
		}
		if code != C.NUMAPOOL_E_FULL && code != C.NUMAPOOL_E_SHED {
			handle.Delete()
			return result(code)
		}
		time.Sleep(time.Duration(again))
	}
}

// Wait returns when every member has run or was dropped; then the group is gone.
func (group *Group) Wait() error {
	defer C.numapool_group_destroy(group.c)
	return result(C.numapool_group_wait(group.c, C.UINT64_MAX))
}

//export numapoolRun
func numapoolRun(handle C.uintptr_t) {
	task := cgo.Handle(handle).Value().(func())
	cgo.Handle(handle).Delete()
	task() // a panic in it ends the program, as in any goroutine
}

//export numapoolDrop
func numapoolDrop(handle C.uintptr_t, why C.int) { cgo.Handle(handle).Delete() }

func squares() error {
	pool, err := New()
	if err != nil {
		return err
	}
	defer pool.Close() // on the way out with an error
	group, err := pool.Group()
	if err != nil {
		return err
	}
	var total int64
	for number := int64(0); number < 1000; number++ {
		number := number
		if err := group.Submit(func() { atomic.AddInt64(&total, number*number) }); err != nil {
			_ = group.Wait() // those before it are members of the group
			return err
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	var stats C.struct_numapool_stats
	stats.struct_size = C.sizeof_struct_numapool_stats
	if err := result(C.numapool_stats(pool.c, &stats)); err != nil {
		return err
	}
	fmt.Printf("go: %d accepted, %d run, sum %d\n", stats.accepted, stats.run, total)
	return pool.Close()
}

func main() {
	if err := squares(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
