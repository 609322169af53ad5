//! Stand-ins for the functions that unwind a stack, for programs that never do: the installed ones abort on a panic, have
//! no tables for it (`tools/no-unwinding.ld`) and no names of functions, so that a backtrace of theirs would be empty.
//! Rust's library is built for unwinding and refers to all of them; with the real ones each program carries their code and
//! a reader of debugging information, an eighth of its size.
//!
//! The names and types are those of the Itanium C++ ABI: <https://itanium-cxx-abi.github.io/cxx-abi/abi-eh.html>.

use std::ffi::{c_int, c_void};

/// `_URC_END_OF_STACK`
const END_OF_STACK: c_int = 5;

/// Walks over no frame: the backtrace is empty.
// SAFETY: it is the only definition in a program, since the library with the other one is linked for missing names alone.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Backtrace(_visit: *const c_void, _with: *mut c_void) -> c_int {
    END_OF_STACK
}

/// Functions that are called only while a stack is unwound, which never happens.
macro_rules! never {
    ($($name:ident($($argument:ty),*);)*) => {$(
        // SAFETY: as above.
        #[unsafe(no_mangle)]
        extern "C" fn $name($(_: $argument),*) -> *mut c_void {
            std::process::abort()
        }
    )*};
}

never! {
    _Unwind_Resume(*mut c_void);
    _Unwind_GetDataRelBase(*mut c_void);
    _Unwind_GetTextRelBase(*mut c_void);
    _Unwind_GetLanguageSpecificData(*mut c_void);
    _Unwind_GetRegionStart(*mut c_void);
    _Unwind_GetIP(*mut c_void);
    _Unwind_GetIPInfo(*mut c_void, *mut c_int);
    _Unwind_SetGR(*mut c_void, c_int, *mut c_void);
    _Unwind_SetIP(*mut c_void, *mut c_void);
}
