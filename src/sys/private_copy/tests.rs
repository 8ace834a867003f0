//! Each test works in a forked child of a test program that runs only this test: the child has one thread, and no other test has mapped
//! memory.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr::NonNull;

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::memfd::MFdFlags;
use nix::sys::mman::{mmap_anonymous, mprotect};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};

use super::*;
use crate::sys::process::{self, Forked};
use crate::sys::shared;
use crate::sys::test_child::run as child;

/// Runs `work` in a child. It fails if that panics. `test` is the name of the test.
fn in_child(test: &str, work: impl FnOnce() + std::panic::UnwindSafe) {
    const ALONE: &str = "CGI_FPM_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return assert_eq!(child(work), 0);
    }
    let test = format!("{}::{test}", module_path!().split_once("::").unwrap().1);
    let mut program = std::process::Command::new(std::env::current_exe().unwrap());
    let output = program.args([&test, "--exact", "--nocapture"]).env(ALONE, "1").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

const PAGE: usize = 4096;
const PAGES: usize = 64;

/// Shared memory, used by its address as C code does.
#[derive(Clone, Copy)]
struct Shared(NonNull<c_void>);

impl Shared {
    fn new() -> Self {
        let (length, access) = (NonZeroUsize::new(PAGES * PAGE).unwrap(), ProtFlags::PROT_READ | ProtFlags::PROT_WRITE);
        // SAFETY: the kernel chooses the address, so the mapping overlaps no other memory.
        Self(unsafe { mmap_anonymous(None, length, access, MapFlags::MAP_SHARED) }.unwrap())
    }

    fn word(self, page: usize) -> *mut u64 {
        // SAFETY: a page of the mapping.
        unsafe { self.0.as_ptr().cast::<u8>().add(page * PAGE).cast() }
    }

    fn get(self, page: usize) -> u64 {
        // SAFETY: an aligned word of the mapping.
        unsafe { self.word(page).read_volatile() }
    }

    fn set(self, page: usize, value: u64) {
        // SAFETY: an aligned word of the mapping.
        unsafe { self.word(page).write_volatile(value) };
    }

    fn protect(self, page: usize, access: ProtFlags) {
        // SAFETY: a page of the mapping.
        unsafe { mprotect(NonNull::new(self.word(page).cast()).unwrap(), PAGE, access) }.unwrap();
    }
}

fn permissions(address: usize) -> String {
    let maps = std::fs::read("/proc/self/maps").unwrap();
    let all = mappings::parse(&maps).unwrap();
    let mapping = all.into_iter().find(|mapping| mapping.range.contains(&address)).unwrap();
    let Access { read, write, execute } = mapping.access;
    let flag = |set: bool, letter: char| if set { letter } else { '-' };
    [flag(read, 'r'), flag(write, 'w'), flag(execute, 'x'), if mapping.shared { 's' } else { 'p' }].iter().collect()
}

#[test]
fn children_get_copies_that_they_share_with_their_own_children_only() {
    in_child("children_get_copies_that_they_share_with_their_own_children_only", || {
        let before = OpenDescriptors::now();
        let memory = Shared::new();
        memory.set(1, 7);
        memory.set(40, 0);
        memory.protect(1, ProtFlags::PROT_READ | ProtFlags::PROT_EXEC);
        let copy = PrivateCopy::make(&before).unwrap();
        assert_eq!(copy.bytes(), PAGE, "a page of zeros and pages that were never touched are left out");
        assert_eq!((memory.get(1), memory.get(40), memory.get(63)), (7, 0, 0));
        assert_eq!([permissions(memory.word(0) as usize), permissions(memory.word(1) as usize)], ["r--p", "r-xp"]);
        for round in 1..3 {
            let sibling = child(|| {
                copy_of(&copy).share_again().unwrap();
                assert_eq!((memory.get(1), memory.get(2)), (7, 0));
                assert_eq!(
                    [permissions(memory.word(0) as usize), permissions(memory.word(1) as usize)],
                    ["rw-s", "r-xs"]
                );
                memory.set(0, round);
                assert_eq!(child(move || memory.set(63, memory.get(0) + 1)), 0);
                assert_eq!(memory.get(63), round + 1, "it shares the memory with its children");
            });
            assert_eq!(sibling, 0);
            assert_eq!((memory.get(0), memory.get(63)), (0, 0), "and not with its parent");
        }
    });
}

/// A child has a copy of its parent's value.
fn copy_of(copy: &PrivateCopy) -> PrivateCopy {
    let area = |area: &Area| Area {
        range: area.range.clone(),
        pieces: area.pieces.clone(),
        content: area.content.as_ref().map(|content| content.try_clone().unwrap()),
        filled: area.filled.clone(),
    };
    PrivateCopy { areas: copy.areas.iter().map(area).collect(), ..*copy }
}

#[test]
fn a_write_to_the_private_memory_ends_the_process() {
    in_child("a_write_to_the_private_memory_ends_the_process", || {
        let memory = Shared::new();
        let _copy = PrivateCopy::make(&OpenDescriptors::now()).unwrap();
        // SAFETY: as in `test_child::run`.
        match unsafe { process::fork() }.unwrap() {
            Forked::Child => {
                memory.set(0, 1);
                process::exit_now(0)
            }
            Forked::Parent(pid) => {
                assert!(matches!(waitpid(pid, None), Ok(WaitStatus::Signaled(_, Signal::SIGSEGV, _))));
            }
        }
    });
}

#[test]
fn each_child_gets_a_lock_of_its_own() {
    in_child("each_child_gets_a_lock_of_its_own", || {
        let before = OpenDescriptors::now();
        let lock = shared::memory_file("lock", MFdFlags::empty()).unwrap();
        let copy = PrivateCopy::make(&before).unwrap();
        assert_eq!(copy.lock.map(|lock| lock.raw), Some(lock.as_raw_fd()));
        take(&lock).unwrap();
        assert_eq!(
            child(|| {
                assert!(take(&lock).is_err(), "the parent's lock");
                copy_of(&copy).share_again().unwrap();
                take(&lock).unwrap();
                assert_eq!(child(|| assert!(take(&lock).is_err(), "children of this process share it")), 0);
            }),
            0
        );
    });
}

fn take(file: &OwnedFd) -> nix::Result<i32> {
    let whole = libc::flock {
        l_type: libc::c_short::try_from(libc::F_WRLCK).unwrap(),
        l_whence: libc::c_short::try_from(libc::SEEK_SET).unwrap(),
        l_start: 0,
        l_len: 1,
        l_pid: 0,
    };
    fcntl(file, FcntlArg::F_SETLK(&whole))
}

#[test]
fn what_is_not_understood_is_an_obstacle() {
    in_child("what_is_not_understood_is_an_obstacle", || {
        let before = OpenDescriptors::now();
        let file: OwnedFd = File::open("/etc/passwd").unwrap().into();
        assert!(matches!(PrivateCopy::make(&before), Err(Obstacle::Descriptor(name)) if name == "/etc/passwd"));
        drop(file);
        let mut lock = File::from(shared::memory_file("lock", MFdFlags::empty()).unwrap());
        lock.write_all(b"x").unwrap();
        assert!(matches!(PrivateCopy::make(&before), Err(Obstacle::Descriptor(_))), "it is not empty");
        let memory = shared::create("words", 8).unwrap();
        let words = shared::Words::map(std::os::fd::AsFd::as_fd(&memory), 8).unwrap();
        let obstacle = PrivateCopy::make(&OpenDescriptors::now());
        assert!(matches!(obstacle, Err(Obstacle::SharedFile(name)) if name.contains("words")));
        drop(words);
        let memory = Shared::new();
        memory.protect(3, ProtFlags::PROT_NONE);
        assert!(matches!(PrivateCopy::make(&OpenDescriptors::now()), Err(Obstacle::Layout)), "a page cannot be read");
        memory.protect(3, ProtFlags::PROT_READ);
        assert!(PrivateCopy::make(&OpenDescriptors::now()).is_ok());
    });
}

#[test]
fn a_second_thread_is_an_obstacle() {
    // The test program has several.
    assert!(matches!(PrivateCopy::make(&OpenDescriptors::now()), Err(Obstacle::Threads(Some(2..)))));
}

#[test]
fn one_area_in_two_places_or_with_a_gap_is_an_obstacle() {
    let maps =
        |second: &str| format!("7f00000-7f02000 rw-s 0 00:01 5 /dev/zero (deleted)\n{second} /dev/zero (deleted)\n");
    for (second, expected) in [
        ("7f02000-7f03000 r-xs 2000 00:01 5", Some(1)),
        ("7f02000-7f03000 rw-s 0 00:01 6", Some(2)),
        ("7f03000-7f04000 rw-s 3000 00:01 5", None),
        ("7f02000-7f03000 rw-s 0 00:01 5", None),
        ("7f02000-7f03000 -w-s 2000 00:01 5", None),
    ] {
        assert_eq!(areas(maps(second).as_bytes()).ok().map(|areas| areas.len()), expected, "{second}");
    }
}
