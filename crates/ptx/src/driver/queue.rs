//! The symbols of the CUDA driver for memory, streams, events and graphs.

use std::collections::BTreeMap;
use std::ffi::{c_int, c_uint, c_ulonglong};
use std::sync::Mutex;

use super::context::{Context, DEFAULT_STREAM, Event, Stream, Work};
use super::failure::{Code, Done, Failure};
use super::raw::{Host, Out};
use super::registry::{current, handle_in, within};
use super::{device, exports};

/// Works on a stream; the numbers 0, 1 and 2 name the current context's default stream.
pub(crate) fn on<T>(stream: usize, work: impl FnOnce(&mut Context, usize) -> Done<T>) -> Done<T> {
    within(stream, |context| work(context, if stream <= 2 { DEFAULT_STREAM } else { stream }))
}

fn fill(at: u64, pattern: &[u8], count: usize, stream: usize) -> Done {
    let len = count.saturating_mul(pattern.len());
    on(stream, |context, stream| {
        context.healthy()?;
        context.range(at, len)?;
        context.enqueue(stream, Work::Fill { at, len, pattern: pattern.into() })
    })
}

fn upload(to: u64, from: &Host, len: usize, stream: usize) -> Done {
    let bytes = from.read(len)?.into();
    on(stream, |context, stream| {
        context.healthy()?;
        context.range(to, len)?;
        context.enqueue(stream, Work::Write { at: to, bytes })
    })
}

/// Copies to the host once the stream has done all before.
fn download(to: &Host, from: u64, len: usize, stream: usize) -> Done {
    let bytes = on(stream, |context, stream| {
        context.synchronize(stream)?;
        context.range(from, len)?;
        Ok(context.memory.read(from, len)?)
    })?;
    to.write(&bytes)
}

fn transfer(to: u64, from: u64, len: usize, stream: usize) -> Done {
    on(stream, |context, stream| {
        context.healthy()?;
        context.range(to, len)?;
        context.range(from, len)?;
        context.enqueue(stream, Work::Copy { to, from, len })
    })
}

/// Host memory that the driver handed out, by address.
static PINNED: Mutex<BTreeMap<usize, Box<[u128]>>> = Mutex::new(BTreeMap::new());

exports! {
    fn cuMemGetInfo_v2(free: Out<usize>, total: Out<usize>) {
        let used = within(current(), |context| Ok(context.memory.used()))?;
        free.set(device::MEMORY.saturating_sub(used))?;
        total.set(device::MEMORY)
    }

    fn cuMemAlloc_v2(address: Out<u64>, bytes: usize) {
        address.set(within(current(), |context| { context.healthy()?; context.alloc(bytes) })?)
    }

    fn cuMemAllocAsync(address: Out<u64>, bytes: usize, stream: usize) {
        let at = on(stream, |context, stream| {
            context.healthy()?;
            context.not_capturing(stream)?;
            context.alloc(bytes)
        })?;
        address.set(at)
    }

    fn cuMemFree_v2(address: u64) {
        within(current(), |context| {
            context.synchronize_all()?;
            context.memory.free(address).map_err(|e| Failure::new(Code::INVALID_VALUE, e.to_string()))
        })
    }

    fn cuMemFreeAsync(address: u64, stream: usize) {
        on(stream, |context, stream| {
            context.healthy()?;
            context.range(address, 0)?;
            context.enqueue(stream, Work::Free { at: address })
        })
    }

    fn cuMemHostAlloc(pointer: Out<usize>, bytes: usize, _flags: c_uint) {
        let words = vec![0_u128; bytes.div_ceil(16)].into_boxed_slice();
        let at = words.as_ptr() as usize;
        PINNED.lock().map_err(|_| Code::UNKNOWN)?.insert(at, words);
        pointer.set(at)
    }

    fn cuMemFreeHost(pointer: Host) {
        let removed = PINNED.lock().map_err(|_| Code::UNKNOWN)?.remove(&pointer.address());
        removed.map(drop).ok_or(Code::INVALID_VALUE.into())
    }

    fn cuMemsetD8_v2(at: u64, value: u8, count: usize) {
        fill(at, &[value], count, DEFAULT_STREAM)
    }

    fn cuMemsetD8Async(at: u64, value: u8, count: usize, stream: usize) {
        fill(at, &[value], count, stream)
    }

    fn cuMemsetD16Async(at: u64, value: u16, count: usize, stream: usize) {
        fill(at, &value.to_le_bytes(), count, stream)
    }

    fn cuMemsetD32Async(at: u64, value: c_uint, count: usize, stream: usize) {
        fill(at, &value.to_le_bytes(), count, stream)
    }

    fn cuMemcpyHtoD_v2(to: u64, from: Host, bytes: usize) {
        upload(to, &from, bytes, DEFAULT_STREAM)
    }

    fn cuMemcpyHtoDAsync_v2(to: u64, from: Host, bytes: usize, stream: usize) {
        upload(to, &from, bytes, stream)
    }

    fn cuMemcpyDtoH_v2(to: Host, from: u64, bytes: usize) {
        download(&to, from, bytes, DEFAULT_STREAM)
    }

    fn cuMemcpyDtoHAsync_v2(to: Host, from: u64, bytes: usize, stream: usize) {
        download(&to, from, bytes, stream)
    }

    fn cuMemcpyDtoD_v2(to: u64, from: u64, bytes: usize) {
        transfer(to, from, bytes, DEFAULT_STREAM)
    }

    fn cuMemcpyDtoDAsync_v2(to: u64, from: u64, bytes: usize, stream: usize) {
        transfer(to, from, bytes, stream)
    }

    fn cuStreamCreate(stream: Out<usize>, flags: c_uint) {
        let handle = handle_in(current());
        within(handle, |context| {
            context.healthy()?;
            context.streams.insert(handle, Stream::new(flags & 1 == 0));
            Ok(())
        })?;
        stream.set(handle)
    }

    fn cuStreamDestroy_v2(stream: usize) {
        within(stream, |context| {
            context.stream(stream)?.capture = None;
            let done = context.healthy().and_then(|()| context.synchronize(stream));
            context.streams.remove(&stream);
            done
        })
    }

    fn cuStreamSynchronize(stream: usize) {
        on(stream, |context, stream| context.synchronize(stream))
    }

    fn cuStreamQuery(stream: usize) {
        on(stream, |context, stream| context.query(stream))
    }

    fn cuStreamWaitEvent(stream: usize, event: usize, _flags: c_uint) {
        on(stream, |context, stream| context.wait(stream, event))
    }

    fn cuEventCreate(event: Out<usize>, flags: c_uint) {
        let handle = handle_in(current());
        within(handle, |context| {
            context.healthy()?;
            context.events.insert(handle, Event::new(flags & 2 == 0));
            Ok(())
        })?;
        event.set(handle)
    }

    fn cuEventDestroy_v2(event: usize) {
        within(event, |context| {
            context.events.remove(&event).map(drop).ok_or(Code::INVALID_HANDLE.into())
        })
    }

    fn cuEventRecord(event: usize, stream: usize) {
        on(stream, |context, stream| context.record(event, stream))
    }

    fn cuEventQuery(event: usize) {
        within(event, |context| context.query_event(event))
    }

    fn cuEventSynchronize(event: usize) {
        within(event, |context| context.synchronize_event(event))
    }

    fn cuEventElapsedTime(milliseconds: Out<f32>, start: usize, end: usize) {
        milliseconds.set(within(end, |context| context.elapsed([start, end]))?)
    }

    fn cuEventElapsedTime_v2(milliseconds: Out<f32>, start: usize, end: usize) {
        milliseconds.set(within(end, |context| context.elapsed([start, end]))?)
    }

    fn cuStreamBeginCapture_v2(stream: usize, _mode: c_uint) {
        on(stream, |context, stream| {
            context.healthy()?;
            // The default stream cannot be captured.
            if stream == DEFAULT_STREAM {
                return Err(Code::STREAM_CAPTURE_UNSUPPORTED.into());
            }
            match context.stream(stream)?.capture.replace(Vec::new()) {
                None => Ok(()),
                Some(_) => Err(Code::ILLEGAL_STATE.into()),
            }
        })
    }

    fn cuStreamEndCapture(stream: usize, graph: Out<usize>) {
        let handle = on(stream, |context, stream| {
            let work = context.stream(stream)?.capture.take().ok_or(Code::ILLEGAL_STATE)?;
            let handle = handle_in(stream);
            context.graphs.insert(handle, work);
            Ok(handle)
        })?;
        graph.set(handle)
    }

    fn cuStreamIsCapturing(stream: usize, status: Out<c_int>) {
        let capturing = on(stream, |context, s| Ok(context.stream(s)?.capture.is_some()))?;
        status.set(c_int::from(capturing))
    }

    fn cuGraphInstantiateWithFlags(executable: Out<usize>, graph: usize, flags: c_ulonglong) {
        // Free on launch, upload, device launch, priorities: the third stands alone.
        if flags & 4 != 0 || flags > 15 {
            return Err(Code::INVALID_VALUE.into());
        }
        let handle = within(graph, |context| {
            let work = context.graphs.get(&graph).ok_or(Code::INVALID_HANDLE)?.clone();
            let handle = handle_in(graph);
            context.graphs.insert(handle, work);
            Ok(handle)
        })?;
        executable.set(handle)
    }

    fn cuGraphUpload(graph: usize, _stream: usize) {
        within(graph, |context| context.graphs.get(&graph).map(|_| ()).ok_or(Code::INVALID_HANDLE.into()))
    }

    fn cuGraphLaunch(graph: usize, stream: usize) {
        on(stream, |context, stream| {
            let work = context.graphs.get(&graph).ok_or(Code::INVALID_HANDLE)?.clone();
            work.into_iter().try_for_each(|work| context.enqueue(stream, work))
        })
    }

    fn cuGraphExecDestroy(graph: usize) {
        within(graph, |context| context.graphs.remove(&graph).map(drop).ok_or(Code::INVALID_HANDLE.into()))
    }

    fn cuGraphDestroy(graph: usize) {
        within(graph, |context| context.graphs.remove(&graph).map(drop).ok_or(Code::INVALID_HANDLE.into()))
    }
}
