//! The system call filters of a test's processes: what is refused, and what the tracer is asked to look at.
//!
//! Namespaces and an ordinary user already keep a test from what is refused here; the list is a second lock.

use super::{Failure, calls};
use nix::libc;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen as Length, SeccompCmpOp as Is, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};
use std::collections::BTreeMap;

/// Refused with EPERM: what makes namespaces, mounts, keys, programs in the kernel, or a tracer.
const REFUSED: &[i64] = &[
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_ptrace,
    libc::SYS_process_vm_writev,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_open_by_handle_at,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
];

/// Refused with ENOSYS, so that libraries fall back to what can be filtered: their arguments stand in memory, or they
/// do other calls' work unseen.
const ABSENT: &[i64] =
    &[libc::SYS_clone3, libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register];

/// The kinds of sockets that a program may ask for; they lead nowhere.
const SOCKETS: [i32; 4] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// The programs, in the order in which they are installed; of their answers the kernel takes the strictest.
pub fn programs() -> Result<Vec<BpfProgram>, Failure> {
    let always = |numbers: &[i64]| numbers.iter().map(|n| (*n, Vec::new())).collect::<BTreeMap<_, _>>();
    let mut refused = always(REFUSED);
    let namespaces = libc::CLONE_NEWUSER
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWCGROUP;
    let bits = (0..32).map(|bit| 1 << bit).filter(|bit| u64::from(namespaces.cast_unsigned()) & bit != 0);
    refused.insert(libc::SYS_clone, bits.map(|bit| one(0, Is::MaskedEq(bit), bit)).collect::<Result<_, _>>()?);
    let other = SOCKETS.iter().map(|family| condition(0, Is::Ne, u64::from(family.cast_unsigned())));
    refused.insert(libc::SYS_socket, vec![SeccompRule::new(other.collect::<Result<_, _>>()?)?]);

    let mut traced = BTreeMap::new();
    for call in calls::TRACED {
        traced.insert(call.number, watched(call)?);
    }
    let errno = |errno: i32| SeccompAction::Errno(errno.cast_unsigned());
    let rules =
        [(refused, errno(libc::EPERM)), (always(ABSENT), errno(libc::ENOSYS)), (traced, SeccompAction::Trace(0))];
    rules.into_iter().map(|(rules, action)| program(rules, action).map_err(Failure::from)).collect()
}

/// For an `open`, only those that write or create: reads are many, and not told.
fn watched(call: &calls::Traced) -> Result<Vec<SeccompRule>, BackendError> {
    let Some(flags) = call.flags_argument() else { return Ok(Vec::new()) };
    let bits = |mask: i32, value: i32| {
        one(flags, Is::MaskedEq(u64::from(mask.cast_unsigned())), u64::from(value.cast_unsigned()))
    };
    Ok(vec![
        bits(libc::O_ACCMODE, libc::O_WRONLY)?,
        bits(libc::O_ACCMODE, libc::O_RDWR)?,
        bits(libc::O_CREAT, libc::O_CREAT)?,
        bits(libc::O_TRUNC, libc::O_TRUNC)?,
    ])
}

fn condition(argument: u8, is: Is, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, Length::Dword, is, value)
}

fn one(argument: u8, is: Is, value: u64) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(vec![condition(argument, is, value)?])
}

fn program(rules: BTreeMap<i64, Vec<SeccompRule>>, action: SeccompAction) -> Result<BpfProgram, BackendError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(rules, SeccompAction::Allow, action, arch)?.try_into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_filters_compile_and_no_call_is_both_refused_and_traced() {
        let programs = programs().unwrap();
        assert!(programs.iter().all(|program| !program.is_empty()), "{}", programs.len());
        let clash = calls::TRACED.iter().find(|c| REFUSED.contains(&c.number) || ABSENT.contains(&c.number));
        assert!(clash.is_none(), "{:?}", clash.map(|c| c.name));
    }
}
