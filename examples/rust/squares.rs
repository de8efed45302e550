//! numapool from Rust, by its C interface: a pool, a group of closures, a wait, and the pool's account.
//!
//!     rustc --edition 2021 squares.rs $(pkg-config --libs numapool)
//!
//! No crate is needed. A panic in a task is caught at its edge and given to whoever waits.

use std::any::Any;
use std::ffi::CStr;
use std::marker::PhantomData;
use std::os::raw::{c_char, c_int, c_uint, c_void};
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Mutex;
use std::time::Duration;

/// The C interface, as far as it is used here: `include/numapool/numapool.h`.
mod c {
    use super::*;

    pub const OK: c_int = 0;
    pub const E_FULL: c_int = -1;
    pub const E_SHED: c_int = -2;

    #[repr(C)]
    pub struct Pool {
        _private: [u8; 0],
    }
    #[repr(C)]
    pub struct Group {
        _private: [u8; 0],
    }

    #[repr(C)]
    pub struct Task {
        pub run: extern "C" fn(*mut c_void),
        pub arg: *mut c_void,
        pub drop: Option<extern "C" fn(*mut c_void, c_int)>,
        pub group: *mut Group,
        pub deadline_ns: u64,
        pub near_data: *const c_void,
        pub bytes: usize,
        pub node: c_int,
        pub task_class: c_int,
        pub flags: c_uint,
        pub reserved: [u64; 4],
    }

    /// struct numapool_stats, as much of it as is wanted: struct_size says so.
    #[repr(C)]
    #[derive(Default)]
    pub struct Stats {
        pub struct_size: usize,
        pub submitted: u64,
        pub accepted: u64,
        pub run: u64,
        pub dropped: u64,
    }

    #[repr(C)]
    pub struct Error {
        pub text: [c_char; 4096],
        pub sys_errno: c_int,
        pub count: c_int,
    }

    #[link(name = "numapool")]
    extern "C" {
        pub fn numapool_strerror(result: c_int) -> *const c_char;
        pub fn numapool_create(pool: *mut *mut Pool, config: *const c_void, error: *mut Error) -> c_int;
        pub fn numapool_destroy(pool: *mut Pool) -> c_int;
        pub fn numapool_submit_task(pool: *mut Pool, task: *const Task) -> c_int;
        pub fn numapool_retry_after_ns(pool: *mut Pool) -> u64;
        pub fn numapool_group_create(group: *mut *mut Group, pool: *mut Pool) -> c_int;
        pub fn numapool_group_wait(group: *mut Group, timeout_ns: u64) -> c_int;
        pub fn numapool_group_destroy(group: *mut Group) -> c_int;
        pub fn numapool_stats(pool: *mut Pool, stats: *mut Stats) -> c_int;
    }
}

fn sentence(result: c_int) -> String {
    unsafe { CStr::from_ptr(c::numapool_strerror(result)) }.to_string_lossy().into_owned()
}

fn check(result: c_int) -> Result<(), String> {
    if result == c::OK {
        Ok(())
    } else {
        Err(sentence(result))
    }
}

struct Pool {
    c: *mut c::Pool,
}

unsafe impl Sync for Pool {}

impl Pool {
    /// A pool of the defaults and the environment.
    fn new() -> Result<Pool, String> {
        let mut pool = std::ptr::null_mut();
        let mut error = Box::new(c::Error { text: [0; 4096], sys_errno: 0, count: 0 });
        match unsafe { c::numapool_create(&mut pool, std::ptr::null(), &mut *error) } {
            c::OK => Ok(Pool { c: pool }),
            _ => Err(unsafe { CStr::from_ptr(error.text.as_ptr()) }.to_string_lossy().into_owned()),
        }
    }

    fn stats(&self) -> Result<c::Stats, String> {
        let mut stats = c::Stats { struct_size: std::mem::size_of::<c::Stats>(), ..Default::default() };
        check(unsafe { c::numapool_stats(self.c, &mut stats) })?;
        Ok(stats)
    }

    /// Runs `body`, which submits closures that may borrow what outlives this call, and waits for all of them.
    fn scope<'env, R>(&'env self, body: impl FnOnce(&Scope<'env>) -> R) -> Result<R, String> {
        let mut group = std::ptr::null_mut();
        check(unsafe { c::numapool_group_create(&mut group, self.c) })?;
        let scope = Scope { pool: self, group, panic: Mutex::new(None), env: PhantomData };
        let outcome = catch_unwind(AssertUnwindSafe(|| body(&scope)));
        // Whatever happened, no closure may outlive what it borrows. A wait fails inside a task alone, when no
        // worker is left to run the others.
        let waited = unsafe { c::numapool_group_wait(group, u64::MAX) };
        if waited != c::OK {
            std::process::abort();
        }
        unsafe { c::numapool_group_destroy(group) };
        let thrown = scope.panic.lock().unwrap_or_else(|e| e.into_inner()).take();
        if let Some(payload) = thrown {
            resume_unwind(payload);
        }
        match outcome {
            Ok(value) => Ok(value),
            Err(payload) => resume_unwind(payload),
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        unsafe { c::numapool_destroy(self.c) };
    }
}

struct Scope<'env> {
    pool: &'env Pool,
    group: *mut c::Group,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    env: PhantomData<&'env mut &'env ()>,
}

struct Job<'env> {
    body: Box<dyn FnOnce() + Send + 'env>,
    scope: *const Scope<'env>,
}

impl<'env> Scope<'env> {
    /// Hands a closure to the pool, and tries again while the pool says that it is full. Refused, it is dropped here.
    fn submit(&self, body: impl FnOnce() + Send + 'env) -> Result<(), String> {
        let job = Box::into_raw(Box::new(Job { body: Box::new(body), scope: self }));
        let task = c::Task {
            run,
            arg: job.cast(),
            drop: Some(discard),
            group: self.group,
            deadline_ns: 0,
            near_data: std::ptr::null(),
            bytes: 0,
            node: 0,
            task_class: 0,
            flags: 0,
            reserved: [0; 4],
        };
        loop {
            match unsafe { c::numapool_submit_task(self.pool.c, &task) } {
                c::OK => return Ok(()),
                c::E_FULL | c::E_SHED => std::thread::sleep(Duration::from_nanos(unsafe {
                    c::numapool_retry_after_ns(self.pool.c)
                })),
                refused => {
                    drop(unsafe { Box::from_raw(job) });
                    return Err(sentence(refused));
                }
            }
        }
    }
}

extern "C" fn run(arg: *mut c_void) {
    let job = unsafe { Box::from_raw(arg.cast::<Job>()) };
    let scope = unsafe { &*job.scope };
    if let Err(payload) = catch_unwind(AssertUnwindSafe(job.body)) {
        let mut first = scope.panic.lock().unwrap_or_else(|e| e.into_inner());
        first.get_or_insert(payload);
    }
}

extern "C" fn discard(arg: *mut c_void, _why: c_int) {
    drop(unsafe { Box::from_raw(arg.cast::<Job>()) });
}

fn squares() -> Result<(), String> {
    let pool = Pool::new()?;
    let total = AtomicU64::new(0);
    pool.scope(|scope| {
        (0..1000u64).try_for_each(|number| {
            let total = &total;
            scope.submit(move || {
                total.fetch_add(number * number, Ordering::Relaxed);
            })
        })
    })??;
    let stats = pool.stats()?;
    println!("rust: {} accepted, {} run, sum {}", stats.accepted, stats.run, total.into_inner());

    // A panic in a task arrives at the waiter.
    let silent = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let caught = catch_unwind(AssertUnwindSafe(|| pool.scope(|scope| scope.submit(|| panic!("in a task")))));
    std::panic::set_hook(silent);
    match caught {
        Err(payload) if payload.downcast_ref::<&str>() == Some(&"in a task") => Ok(()),
        _ => Err("the panic of a task was lost".into()),
    }
}

fn main() {
    if let Err(why) = squares() {
        eprintln!("numapool: {why}");
        std::process::exit(1);
    }
}
