//! The list of the calls that a script is in, read from another thread while the script runs. Each address may be stale, so all
//! memory is copied through `OwnMemory`, and each list is followed for a bounded number of steps.
#![forbid(unsafe_code)]

use std::ffi::{c_char, c_void};
use std::io::{self, Write};
use std::mem::offset_of;

use ext_php_rs::ffi::{zend_function, zend_op, zend_op_array};

use super::ffi::host;
use super::ffi::{sapi_globals_struct, zend_execute_data, zend_executor_globals, zend_string, zval};
use crate::engine::Tracer;
use crate::escape::{self, Place};
use crate::sys::own_memory::OwnMemory;

/// The longest name, in bytes, as in php-fpm.
const LONGEST: usize = 1023;
/// Frames that are searched for a line number, and frames of a trace without a depth. A list that is read while it changes may be
/// a circle.
const MOST: u32 = 4096;
/// How often a trace is repeated because the script went on meanwhile.
const ATTEMPTS: u32 = 8;

/// `ZEND_CALL_CODE`, `ZEND_CALL_TOP`
const CALL_CODE: u32 = 1 << 16;
const CALL_TOP: u32 = 1 << 17;
/// `ZEND_INTERNAL_FUNCTION`; all other types are PHP code.
const INTERNAL: u8 = 1;

/// Reads the calls of the current script.
#[derive(Debug)]
pub(super) struct Walker {
    memory: OwnMemory,
    /// `EG(current_execute_data)`
    current: usize,
    /// `SG(request_info).path_translated`
    script: usize,
}

impl Walker {
    /// For this process.
    pub(super) fn new() -> io::Result<Self> {
        let (engine, sapi) = (host().executor_globals as usize, host().sapi_globals as usize);
        Ok(Self {
            memory: OwnMemory::new()?,
            current: engine + offset_of!(zend_executor_globals, current_execute_data),
            script: sapi + offset_of!(sapi_globals_struct, request_info.path_translated),
        })
    }

    fn attempt(&self, depth: u32, out: &mut Vec<u8>) -> io::Result<()> {
        let script = self.address(self.script)?;
        line(out, format_args!("script_filename = "), &[&self.c_string(script)?])?;
        let mut frame = self.address(self.current)?;
        for _ in 0..if depth == 0 { MOST } else { depth.min(MOST) } {
            if frame == 0 {
                break;
            }
            let Some(name) = self.function_name(frame)? else { break };
            let previous = self.address(frame + offset_of!(zend_execute_data, prev_execute_data))?;
            let (file, number) = self.place(previous)?;
            let end = format!("():{number}");
            let (call, number) = end.split_at(2);
            line(out, format_args!("[0x{frame:016x}] "), &[&name, call.as_bytes(), b" ", &file, number.as_bytes()])?;
            frame = previous;
        }
        Ok(())
    }

    /// The function of a frame. `None`: the script itself, where the list ends.
    fn function_name(&self, frame: usize) -> io::Result<Option<Vec<u8>>> {
        let function = self.address(frame + offset_of!(zend_execute_data, func))?;
        if !is_pointer(function) {
            return Ok(Some(b"???".to_vec()));
        }
        let name = self.address(function + offset_of!(zend_function, common.function_name))?;
        if name != 0 {
            return self.string(name).map(Some);
        }
        let info = self.number(frame + offset_of!(zend_execute_data, This) + offset_of!(zval, u1))?;
        let is_script = info & (CALL_CODE | CALL_TOP) == CALL_CODE | CALL_TOP;
        Ok((!is_script).then(|| b"[INCLUDE_OR_EVAL]".to_vec()))
    }

    /// File and line of the nearest frame with PHP code.
    fn place(&self, mut frame: usize) -> io::Result<(Vec<u8>, u32)> {
        for _ in 0..MOST {
            let function = if frame == 0 { 0 } else { self.address(frame + offset_of!(zend_execute_data, func))? };
            if !is_pointer(function) {
                break;
            }
            let mut kind = [0];
            self.memory.read(function + offset_of!(zend_function, type_), &mut kind)?;
            if kind != [INTERNAL] {
                let file = self.string(self.address(function + offset_of!(zend_op_array, filename))?)?;
                let opcode = self.address(frame + offset_of!(zend_execute_data, opline))?;
                let known = is_pointer(opcode);
                let number = if known { self.number(opcode + offset_of!(zend_op, lineno))? } else { 0 };
                return Ok((file, number));
            }
            frame = self.address(frame + offset_of!(zend_execute_data, prev_execute_data))?;
        }
        Ok((b"unknown".to_vec(), 0))
    }

    fn address(&self, at: usize) -> io::Result<usize> {
        let mut word = [0; size_of::<*const c_void>()];
        self.memory.read(at, &mut word)?;
        Ok(usize::from_ne_bytes(word))
    }

    fn number(&self, at: usize) -> io::Result<u32> {
        let mut word = [0; 4];
        self.memory.read(at, &mut word)?;
        Ok(u32::from_ne_bytes(word))
    }

    /// A `zend_string`, cut at `LONGEST` bytes and at its first NUL.
    fn string(&self, at: usize) -> io::Result<Vec<u8>> {
        let length = self.address(at + offset_of!(zend_string, len))?;
        let mut text = vec![0; length.min(LONGEST)];
        self.memory.read(at + offset_of!(zend_string, val), &mut text)?;
        text.truncate(text.iter().position(|&byte| byte == 0).unwrap_or(text.len()));
        Ok(text)
    }

    /// A C string, read up to the end of its page: the next page may not be mapped.
    fn c_string(&self, at: usize) -> io::Result<Vec<u8>> {
        const PAGE: usize = 4096;
        let mut text = Vec::new();
        while text.len() < LONGEST {
            let from = at.wrapping_add(text.len() * size_of::<c_char>());
            let mut piece = [0; 256];
            let length = piece.len().min(PAGE - from % PAGE).min(LONGEST - text.len());
            let piece = &mut piece[..length];
            self.memory.read(from, piece)?;
            let end = piece.iter().position(|&byte| byte == 0);
            text.extend_from_slice(&piece[..end.unwrap_or(length)]);
            if end.is_some() {
                break;
            }
        }
        Ok(text)
    }
}

impl Tracer for Walker {
    fn trace(&self, depth: u32, out: &mut Vec<u8>) -> io::Result<()> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let before = self.address(self.current)?;
            out.clear();
            let walked = self.attempt(depth, out);
            let quiet = walked.is_ok() && self.address(self.current)? == before;
            if quiet || attempts == ATTEMPTS {
                return walked;
            }
        }
    }
}

/// Whether an address is valid by php-fpm's test.
fn is_pointer(address: usize) -> bool {
    address != 0 && address.is_multiple_of(size_of::<*const c_void>())
}

/// A text as one line: control characters are escaped.
fn line(out: &mut Vec<u8>, start: std::fmt::Arguments<'_>, parts: &[&[u8]]) -> io::Result<()> {
    out.write_fmt(start)?;
    parts.iter().for_each(|part| escape::push(out, part, Place::Line));
    out.push(b'\n');
    Ok(())
}
