//! The one module that turns memory into objects: typed views of RAM that the capability system accounts for.
//!
//! Invariants it rests on, kept by `mem::untyped` and `cap`:
//! - Retype hands out each byte of untyped memory once, zeroed, until everything made from that Untyped is destroyed.
//! - An object's memory is reused only after its last capability is gone and its destruction has been carried to
//!   the end (`cap::destroy`), which clears every [`Link`] to it that may still be followed: a few mean something in one state only, as
//!   their documentation says.
//! - A slot's type and object address are set together, only for objects made by [`view`] of retyped memory.
//!
//! So whatever a non-null `Link<T>` or a slot names is a valid `T` for as long as the kernel lock is held, that is for the
//! lifetime of the `&Lock` shown. All objects consist of cells (or are never written), and all-zero memory is valid for each.
#![allow(unsafe_code)]

use crate::arch::Arch;
use core::cell::Cell;
use core::marker::PhantomData;

/// The kernel lock's token: whoever has a reference holds the lock. It is a part of [`crate::Kernel`], which
/// dereferences to it.
pub struct Lock {
    not_sync: PhantomData<*mut ()>,
}

impl Lock {
    /// For the one kernel.
    pub(crate) const fn new() -> Self {
        Self { not_sync: PhantomData }
    }
}

/// Types that may be laid over zeroed object memory.
///
/// # Safety
/// All-zero bytes are a valid value; every field that changes is a cell; no field has drop glue.
pub unsafe trait Plain: Sized {}

/// Objects, which satisfy [`Plain`]: `repr(C)`, fields are cells, links or such structures, and zero is a valid value of each (for the
/// enumerations in them, the first variant).
macro_rules! plain {
    ($($type:ty),* ; $($generic:ident in $path:path),*) => {
        // SAFETY: see above.
        $(unsafe impl Plain for $type {})*
        $(
            use $path as $generic;
            // SAFETY: see above.
            unsafe impl<A: Arch> Plain for $generic<A> {}
        )*
    };
}

use crate::cap::slot::Slot;
use crate::object::{Header, space::AddressSpace, table::CapTable};
plain! {
    Slot, Header, CapTable, AddressSpace;
    Thread in crate::object::thread::Thread,
    SchedContext in crate::object::sched_context::SchedContext,
    Endpoint in crate::object::endpoint::Endpoint,
    Reply in crate::object::reply::Reply,
    Notification in crate::object::notification::Notification,
    IrqSource in crate::irq::IrqSource
}

/// A nullable reference from one object to another, inside objects. Null when zeroed.
#[repr(transparent)]
pub struct Link<T> {
    address: Cell<u64>,
    target: PhantomData<*const T>,
}

impl<T> Link<T> {
    /// Names nothing.
    pub const fn null() -> Self {
        Self { address: Cell::new(0), target: PhantomData }
    }

    /// The target.
    #[inline(always)]
    pub fn get<'k>(&self, _held: &'k Lock) -> Option<&'k T> {
        let address = self.address.get();
        // SAFETY: a non-null link was set from a `&T`, and is cleared before its target's memory is reused (module invariants).
        unsafe { core::ptr::with_exposed_provenance::<T>(address as usize).as_ref() }
    }

    /// Name `target`.
    #[inline(always)]
    pub fn set(&self, target: Option<&T>) {
        self.address.set(target.map_or(0, address_of));
    }

    /// Name what `other` names.
    pub fn copy(&self, other: &Self) {
        self.address.set(other.address.get());
    }

    /// Name nothing.
    pub fn clear(&self) {
        self.address.set(0);
    }

    /// Whether it names nothing.
    #[inline(always)]
    pub fn is_null(&self) -> bool {
        self.address.get() == 0
    }

    /// Whether it names `target`.
    #[inline(always)]
    pub fn names(&self, target: &T) -> bool {
        self.address.get() == core::ptr::from_ref(target).addr() as u64
    }

    /// What it names and then no longer does.
    pub fn take<'k>(&self, held: &'k Lock) -> Option<&'k T> {
        let target = self.get(held);
        self.clear();
        target
    }
}

/// The kernel address of an object.
#[inline(always)]
pub fn address_of<T>(object: &T) -> u64 {
    core::ptr::from_ref(object).expose_provenance() as u64
}

/// The object of type `T` at a kernel address: the address of a slot's object, or of freshly retyped memory. Callers are `cap`
/// (after a check of the slot's type) and `object::create`.
#[inline(always)]
pub(crate) fn view<T: Plain>(_held: &Lock, address: u64) -> &T {
    debug_assert!(address != 0 && (address as usize).is_multiple_of(align_of::<T>()));
    // SAFETY: by the module's invariants the address holds a `T` (or zeroed memory set aside for one, and zeroes are a valid `T`).
    unsafe { &*core::ptr::with_exposed_provenance::<T>(address as usize) }
}

/// The `index`th of the `T`s that lie in a row from `address` on.
#[inline(always)]
pub(crate) fn view_in_row<T: Plain>(held: &Lock, address: u64, index: usize) -> &T {
    view(held, address + (index * size_of::<T>()) as u64)
}

/// Several of them, from the `first`th on.
#[inline(always)]
pub(crate) fn row<T: Plain>(held: &Lock, address: u64, first: usize, count: usize) -> &[T] {
    // SAFETY: as for `view`: there is a `T` in each place, and what changes in them are cells.
    unsafe { core::slice::from_raw_parts(view_in_row(held, address, first), count) }
}

/// Where RAM at a physical address is reached.
fn pointer<A: Arch>(physical: u64) -> *mut u64 {
    core::ptr::with_exposed_provenance_mut((physical + A::DIRECT_MAP) as usize)
}

/// Read a word of RAM that user space may be writing at the same time. Aligned, and inside memory that a capability names.
#[inline(always)]
pub(crate) fn read_word<A: Arch>(physical: u64) -> u64 {
    // SAFETY: callers pass addresses inside RAM frames or tables that a live capability covers; volatile, so that a concurrent
    // user write is only a different value.
    unsafe { pointer::<A>(physical).read_volatile() }
}

/// Write a word of RAM that user space may be reading or writing at the same time.
#[inline(always)]
pub(crate) fn write_word<A: Arch>(physical: u64, value: u64) {
    // SAFETY: as for `read_word`; never an address inside a kernel object (frames and page tables only, or memory set aside at boot).
    unsafe { pointer::<A>(physical).write_volatile(value) }
}

/// Copy bytes into RAM set aside at boot.
pub(crate) fn copy_in<A: Arch>(physical: u64, bytes: &[u8]) {
    // SAFETY: the callers (`boot`, `log`) own that memory; the source is a slice elsewhere.
    unsafe { core::ptr::copy(bytes.as_ptr(), pointer::<A>(physical).cast(), bytes.len()) }
}

/// The bytes of a range of RAM that nobody writes while the kernel starts: the boot image.
pub(crate) fn boot_bytes<A: Arch>(_held: &Lock, physical: u64, bytes: u64) -> &[u8] {
    // SAFETY: the boot image lies outside the free RAM, so it is written by nobody before init runs, and the borrow ends before.
    unsafe { core::slice::from_raw_parts(pointer::<A>(physical).cast(), bytes as usize) }
}

/// Write a structure of words into RAM set aside at boot.
pub(crate) fn write_structure<A: Arch, T: Copy>(physical: u64, value: &T) {
    // SAFETY: the callers (`boot`) own that memory, it is a page, and `T` is at most a page and made of words.
    unsafe { pointer::<A>(physical).cast::<T>().write(*value) }
}
