//! The symbols of the CUDA driver, as C programs call them: contexts, modules and launches. Memory,
//! streams, events and graphs stand in [`queue`](super::queue).
//!
//! Each symbol is the function of that name in the CUDA driver's manual, for the part of its
//! behaviour that the module's essay names.

use std::ffi::{CString, c_char, c_int, c_uint};
use std::sync::Arc;

use super::context::{Function, Loaded};
use super::failure::{Code, Done, Failure, describe};
use super::raw::{Arguments, Host, Out, Text};
use super::registry::{create, current, destroy, handle_in, report, set_current, within};
use super::{device, exports};
use crate::Module;
use crate::exec::Shape;

fn ordinal(device: c_int) -> Done {
    if device == 0 { Ok(()) } else { Err(Code::INVALID_DEVICE.into()) }
}

/// Names text by the first word of its first line that ends in `.ptx`.
fn file_name(text: &str) -> &str {
    let mut words = text.lines().next().unwrap_or_default().split_whitespace();
    words.find(|word| word.ends_with(".ptx")).unwrap_or("module.ptx")
}

/// Loads PTX text into this thread's context.
fn load(name: &str, text: &str) -> Done<usize> {
    let module = Module::parse(name, text)
        .map_err(|error| Failure::new(Code::INVALID_PTX, error.to_string()))?;
    let (major, minor) = device::capability();
    if let Some(target) = module.target.filter(|t| i64::from(*t) > i64::from(major * 10 + minor)) {
        let report = format!("{name}: target sm_{target} on a card of capability {major}.{minor}");
        return Err(Failure::new(Code::INVALID_PTX, report));
    }
    let handle = handle_in(current());
    within(handle, |context| {
        context.healthy()?;
        let constants = match module.constants.len() {
            0 => None,
            _ => Some(context.memory.upload(&module.constants)?),
        };
        context.modules.insert(handle, Arc::new(Loaded { module, constants }));
        Ok(handle)
    })
}

fn attribute(function: &Function, number: c_int) -> Option<usize> {
    let module = &function.loaded.module;
    Some(match number {
        0 => function.kernel().max_threads.map_or(1024, |most| most.min(1024) as usize),
        1 => function.kernel().static_shared,
        2 => module.constants.len(),
        3 => 0,
        // The text's registers are an upper bound of those that an assembler would need.
        4 => function.kernel().registers.min(255),
        5 | 6 => module.target.unwrap_or(0) as usize,
        8 => function.most_dynamic(),
        _ => return None,
    })
}

exports! {
    fn cuInit(_flags: c_uint) {
        Ok(())
    }

    fn cuDriverGetVersion(version: Out<c_int>) {
        version.set(device::DRIVER_VERSION)
    }

    fn cuDeviceGetCount(count: Out<c_int>) {
        count.set(1)
    }

    fn cuDeviceGet(device: Out<c_int>, number: c_int) {
        ordinal(number)?;
        device.set(number)
    }

    fn cuDeviceGetName(name: Out<c_char>, room: c_int, number: c_int) {
        ordinal(number)?;
        let text = CString::new(device::NAME).unwrap_or_default();
        name.text(&text, usize::try_from(room).unwrap_or(0))
    }

    fn cuDeviceGetUuid(uuid: Out<[u8; 16]>, number: c_int) {
        ordinal(number)?;
        uuid.set(device::UUID)
    }

    fn cuDeviceGetUuid_v2(uuid: Out<[u8; 16]>, number: c_int) {
        ordinal(number)?;
        uuid.set(device::UUID)
    }

    fn cuDeviceTotalMem_v2(bytes: Out<usize>, number: c_int) {
        ordinal(number)?;
        bytes.set(device::MEMORY)
    }

    fn cuDeviceGetAttribute(value: Out<c_int>, attribute: c_int, number: c_int) {
        ordinal(number)?;
        let found = device::attribute(attribute);
        let unknown = || Failure::new(Code::INVALID_VALUE, format!("device attribute {attribute}"));
        value.set(found.ok_or_else(unknown)?)
    }

    fn cuDevicePrimaryCtxRetain(context: Out<usize>, number: c_int) {
        ordinal(number)?;
        context.set(create())
    }

    fn cuDevicePrimaryCtxRelease_v2(number: c_int) {
        ordinal(number)?;
        destroy(current())
    }

    fn cuCtxDestroy_v2(context: usize) {
        destroy(context)
    }

    fn cuCtxGetCurrent(context: Out<usize>) {
        context.set(current())
    }

    fn cuCtxSetCurrent(context: usize) {
        if context != 0 {
            within(context, |_| Ok(()))?;
        }
        set_current(context);
        Ok(())
    }

    fn cuCtxGetDevice(number: Out<c_int>) {
        within(current(), |_| Ok(()))?;
        number.set(0)
    }

    fn cuCtxSetFlags(_flags: c_uint) {
        within(current(), |_| Ok(()))
    }

    fn cuCtxSynchronize() {
        within(current(), |context| context.synchronize_all())
    }

    fn cuModuleLoadData(module: Out<usize>, image: Text) {
        let text = image.get()?;
        if text.starts_with('\u{7f}') || text.starts_with('P') {
            return Err(Failure::new(Code::NO_BINARY_FOR_GPU, "a module must be PTX text"));
        }
        module.set(load(file_name(&text), &text)?)
    }

    fn cuModuleLoad(module: Out<usize>, path: Text) {
        let path = path.get()?;
        let text = std::fs::read_to_string(&path)
            .map_err(|error| Failure::new(Code::FILE_NOT_FOUND, format!("{path}: {error}")))?;
        module.set(load(&path, &text)?)
    }

    fn cuModuleUnload(module: usize) {
        within(module, |context| {
            let loaded = context.modules.remove(&module).ok_or(Code::INVALID_HANDLE)?;
            context.functions.retain(|_, function| !Arc::ptr_eq(&function.loaded, &loaded));
            context.synchronize_all()?;
            loaded.constants.map_or(Ok(()), |at| Ok(context.memory.free(at)?))
        })
    }

    fn cuModuleGetFunction(function: Out<usize>, module: usize, name: Text) {
        let name = name.get()?;
        let handle = within(module, |context| {
            let loaded = context.modules.get(&module).ok_or(Code::INVALID_HANDLE)?.clone();
            let missing = || {
                let report = format!("{}: no kernel `{name}`", loaded.module.file);
                Failure::new(Code::NOT_FOUND, report)
            };
            let index = loaded.module.kernels().position(|n| n == name).ok_or_else(missing)?;
            let handle = handle_in(module);
            context.functions.insert(handle, Function { loaded, index, most_dynamic: None });
            Ok(handle)
        })?;
        function.set(handle)
    }

    fn cuModuleGetGlobal_v2(address: Out<u64>, bytes: Out<usize>, module: usize, name: Text) {
        let name = name.get()?;
        let (at, len) = within(module, |context| {
            let loaded = context.modules.get(&module).ok_or(Code::INVALID_HANDLE)?;
            let found = loaded.module.globals.iter().find(|global| global.0 == name);
            let (_, offset, len) = found.ok_or_else(|| {
                let report = format!("{}: no variable `{name}`", loaded.module.file);
                Failure::new(Code::NOT_FOUND, report)
            })?;
            Ok((loaded.constants.unwrap_or_default() + *offset as u64, *len))
        })?;
        address.set(at)?;
        bytes.set(len)
    }

    fn cuFuncGetAttribute(value: Out<c_int>, number: c_int, function: usize) {
        let found = within(function, |context| {
            attribute(context.function(function)?, number).ok_or(Code::INVALID_VALUE.into())
        })?;
        value.set(c_int::try_from(found).unwrap_or(c_int::MAX))
    }

    fn cuFuncSetAttribute(function: usize, number: c_int, value: c_int) {
        within(function, |context| {
            let function = context.function(function)?;
            match (number, usize::try_from(value)) {
                (8, Ok(bytes)) => {
                    let most = device::most_shared().saturating_sub(function.kernel().static_shared);
                    if bytes > most {
                        let report = format!("{bytes} bytes of dynamic shared memory; the card has {most}");
                        return Err(Failure::new(Code::INVALID_VALUE, report));
                    }
                    function.most_dynamic = Some(bytes);
                    Ok(())
                }
                (9, _) => Ok(()),
                _ => Err(Code::INVALID_VALUE.into()),
            }
        })
    }

    fn cuFuncSetCacheConfig(function: usize, _config: c_int) {
        within(function, |context| context.function(function).map(|_| ()))
    }

    fn cuOccupancyMaxActiveBlocksPerMultiprocessor(
        blocks: Out<c_int>, function: usize, threads: c_int, shared: usize,
    ) {
        blocks.set(resident(function, threads, shared)?)
    }

    fn cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
        blocks: Out<c_int>, function: usize, threads: c_int, shared: usize, _flags: c_uint,
    ) {
        blocks.set(resident(function, threads, shared)?)
    }

    fn cuLaunchKernel(
        function: usize,
        grid_x: c_uint, grid_y: c_uint, grid_z: c_uint,
        block_x: c_uint, block_y: c_uint, block_z: c_uint,
        shared: c_uint,
        stream: usize,
        args: Arguments,
        extra: Host,
    ) {
        if extra.address() != 0 {
            return Err(Failure::new(Code::NOT_SUPPORTED, "arguments as one buffer"));
        }
        let (grid, block) = ([grid_x, grid_y, grid_z], [block_x, block_y, block_z]);
        let shape = Shape { grid, block, shared: shared as usize };
        super::queue::on(stream, |context, stream| {
            let work = context.launch(function, shape, |index, bytes| args.get(index, bytes))?;
            context.enqueue(stream, work)
        })
    }

    fn cuGetErrorName(code: c_uint, text: Out<*const c_char>) {
        let (name, _) = describe(code).ok_or(Code::INVALID_VALUE)?;
        text.set(name.as_ptr())
    }

    // The whole report, if the code is that of this thread's last failure.
    fn cuGetErrorString(code: c_uint, text: Out<*const c_char>) {
        let (_, meaning) = describe(code).ok_or(Code::INVALID_VALUE)?;
        let known = report(Some(code)).map(|report| format!("{meaning}: {}", report.to_string_lossy()));
        let owned = CString::new(known.unwrap_or_else(|| meaning.to_owned())).unwrap_or_default();
        // Callers keep the text for ever, by the driver's contract; errors are few.
        text.set(owned.into_raw())
    }

    // Not of the driver: the report of this thread's last failure.
    fn striatePtxReport(text: Out<c_char>, room: usize) {
        text.text(&report(None).unwrap_or_default(), room)
    }

    // Not of the driver: see `Driver::shuffle`.
    fn striatePtxShuffle(seed: u64) {
        within(current(), |context| { context.shuffle(seed); Ok(()) })
    }
}

fn resident(function: usize, threads: c_int, shared: usize) -> Done<c_int> {
    within(function, |context| {
        let own = context.function(function)?.kernel().static_shared;
        Ok(device::occupancy(threads, shared.saturating_add(own)))
    })
}
