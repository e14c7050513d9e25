//! A kernel that refuses: a seccomp filter on the calling thread, for the rest of its life.

/// A system call to be refused with `errno`, if its second and third argument are as said.
pub struct Refusal {
    pub syscall: libc::c_long,
    /// The value of the second argument (level of an option, request of an ioctl).
    pub second: Option<u32>,
    /// The third argument: a value, or bits of which one is set.
    pub third: Third,
    pub errno: i32,
}

pub enum Third {
    Any,
    Is(u32),
    HasAnyOf(u32),
}

/// Offsets in `seccomp_data`; the low half of a 64-bit argument comes first on little-endian machines.
const SYSCALL: u32 = 0;
const SECOND: u32 = 16 + 8;
const THIRD: u32 = 16 + 16;

fn instruction(code: u32, if_true: u8, if_false: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter {
        code: u16::try_from(code).unwrap(),
        jt: if_true,
        jf: if_false,
        k,
    }
}

fn load(offset: u32) -> libc::sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset)
}

/// Appends the conditions and the verdict of one refusal; whatever does not match falls through.
fn append(program: &mut Vec<libc::sock_filter>, refusal: &Refusal) {
    let mut tests = vec![(
        SYSCALL,
        libc::BPF_JEQ,
        u32::try_from(refusal.syscall).unwrap(),
    )];
    tests.extend(refusal.second.map(|value| (SECOND, libc::BPF_JEQ, value)));
    match refusal.third {
        Third::Any => {}
        Third::Is(value) => tests.push((THIRD, libc::BPF_JEQ, value)),
        Third::HasAnyOf(bits) => tests.push((THIRD, libc::BPF_JSET, bits)),
    }
    for (n, (offset, operator, value)) in tests.iter().enumerate() {
        let to_next_refusal = u8::try_from(2 * (tests.len() - n - 1) + 1).unwrap();
        program.push(load(*offset));
        program.push(instruction(
            libc::BPF_JMP | operator | libc::BPF_K,
            0,
            to_next_refusal,
            *value,
        ));
    }
    let errno = u32::try_from(refusal.errno).unwrap();
    program.push(instruction(
        libc::BPF_RET | libc::BPF_K,
        0,
        0,
        libc::SECCOMP_RET_ERRNO | errno,
    ));
}

/// Makes the kernel refuse as said, to this thread only.
pub fn refuse(refusals: &[Refusal]) {
    let mut program = Vec::new();
    for refusal in refusals {
        append(&mut program, refusal);
    }
    program.push(instruction(
        libc::BPF_RET | libc::BPF_K,
        0,
        0,
        libc::SECCOMP_RET_ALLOW,
    ));
    let filter = libc::sock_fprog {
        len: u16::try_from(program.len()).unwrap(),
        filter: program.as_mut_ptr(),
    };
    // SAFETY: the filter and its program outlive the calls; the kernel copies them.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let set = libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const filter,
        );
        assert_eq!(set, 0, "seccomp: {}", std::io::Error::last_os_error());
    }
}

/// Refuses one socket option.
pub fn option(level: i32, name: i32, errno: i32) -> Refusal {
    let (level, name) = (level.cast_unsigned(), name.cast_unsigned());
    Refusal {
        syscall: libc::SYS_setsockopt,
        second: Some(level),
        third: Third::Is(name),
        errno,
    }
}
