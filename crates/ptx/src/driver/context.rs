//! A simulated context: memory, modules, and streams whose work waits until someone asks for it.
//!
//! What a program enqueues runs as late as possible: when the host synchronises, copies from the
//! device, or asks for an event. Then only the stream in question moves, and those it waits for.
//! A program that forgot to order two streams therefore sees the wrong result, not a lucky one.
//! With [`Context::shuffle`] other streams also move, in an order drawn from a seed.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use super::device;
use super::failure::{Code, Done, Failure};
use crate::exec::{Arg, Shape, parameters};
use crate::instruction::Kernel;
use crate::{Memory, Module};

/// A module in a context: its text and where its constants lie.
pub(crate) struct Loaded {
    pub module: Module,
    /// The constants' address in device memory, where the host may write them.
    pub constants: Option<u64>,
}

/// A kernel of a module.
#[derive(Clone)]
pub(crate) struct Function {
    pub loaded: Arc<Loaded>,
    pub index: usize,
    /// `CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES`, once set.
    pub most_dynamic: Option<usize>,
}

impl Function {
    pub fn kernel(&self) -> &Kernel {
        &self.loaded.module.kernels[self.index]
    }

    /// The dynamic shared memory that a launch may ask for.
    pub fn most_dynamic(&self) -> usize {
        self.most_dynamic.unwrap_or(device::SHARED.saturating_sub(self.kernel().static_shared))
    }
}

/// A position in a stream: all work before it is done once the stream has done so much.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    stream: usize,
    upto: u64,
}

/// Something that a stream does.
#[derive(Clone)]
pub(crate) enum Work {
    Launch { function: Function, shape: Shape, params: Arc<[u8]> },
    Fill { at: u64, len: usize, pattern: Arc<[u8]> },
    Write { at: u64, bytes: Arc<[u8]> },
    Copy { to: u64, from: u64, len: usize },
    Free { at: u64 },
    Wait(Ticket),
    Record { event: usize },
}

/// Work in order.
#[derive(Default)]
pub(crate) struct Stream {
    queue: VecDeque<Work>,
    queued: u64,
    done: u64,
    /// Waits for the default stream and makes it wait, as streams do unless told otherwise.
    blocking: bool,
    /// Work recorded for a graph instead of being done.
    pub capture: Option<Vec<Work>>,
}

impl Stream {
    pub fn new(blocking: bool) -> Self {
        Self { blocking, ..Self::default() }
    }
}

/// A place in a stream that others can wait for.
#[derive(Default)]
pub(crate) struct Event {
    timed: bool,
    ticket: Option<Ticket>,
    time: Option<Instant>,
}

impl Event {
    pub fn new(timed: bool) -> Self {
        Self { timed, ..Self::default() }
    }
}

/// The stream that needs no making.
pub(crate) const DEFAULT_STREAM: usize = 0;

/// A simulated context.
#[derive(Default)]
pub(crate) struct Context {
    pub memory: Memory,
    pub streams: BTreeMap<usize, Stream>,
    pub events: HashMap<usize, Event>,
    pub modules: HashMap<usize, Arc<Loaded>>,
    pub functions: HashMap<usize, Function>,
    pub graphs: HashMap<usize, Vec<Work>>,
    /// The first fault; nothing runs after it.
    failure: Option<Failure>,
    /// The state of the generator that lets other streams move, unless zero.
    random: u64,
}

impl Context {
    pub fn new() -> Self {
        let mut context = Self::default();
        context.streams.insert(DEFAULT_STREAM, Stream::new(true));
        context
    }

    /// Lets streams move in an order drawn from a seed from now on; zero ends it.
    pub fn shuffle(&mut self, seed: u64) {
        self.random = seed;
    }

    /// The first fault, which every later call returns too.
    pub fn healthy(&self) -> Done {
        self.failure.clone().map_or(Ok(()), Err)
    }

    pub fn stream(&mut self, stream: usize) -> Done<&mut Stream> {
        self.streams.get_mut(&stream).ok_or(Code::INVALID_HANDLE.into())
    }

    pub fn event(&mut self, event: usize) -> Done<&mut Event> {
        self.events.get_mut(&event).ok_or(Code::INVALID_HANDLE.into())
    }

    pub fn function(&mut self, function: usize) -> Done<&mut Function> {
        self.functions.get_mut(&function).ok_or(Code::INVALID_HANDLE.into())
    }

    pub fn alloc(&mut self, len: usize) -> Done<u64> {
        if len == 0 {
            return Err(Failure::new(Code::INVALID_VALUE, "an allocation of no bytes"));
        }
        if self.memory.used().saturating_add(len) > device::MEMORY {
            let used = self.memory.used();
            let report =
                format!("{len} bytes beside {used} in use: the card has {}", device::MEMORY);
            return Err(Failure::new(Code::OUT_OF_MEMORY, report));
        }
        Ok(self.memory.alloc(len)?)
    }

    /// Refuses a range that no live allocation holds, at the call that names it.
    pub fn range(&mut self, at: u64, len: usize) -> Done {
        let found = self.memory.locate(at, len).map(|_| ());
        found.map_err(|what| {
            Failure::new(Code::INVALID_VALUE, format!("{len} bytes at {at:#x}: {what}"))
        })
    }

    /// Refuses what cannot be part of a graph.
    pub fn not_capturing(&mut self, stream: usize) -> Done {
        match self.stream(stream)?.capture {
            None => Ok(()),
            Some(_) => Err(Code::STREAM_CAPTURE_UNSUPPORTED.into()),
        }
    }

    /// A launch whose sizes and parameters are possible, ready to be enqueued. The arguments are
    /// asked for by their index and size.
    pub fn launch(
        &mut self,
        function: usize,
        shape: Shape,
        mut arg: impl FnMut(usize, usize) -> Done<Vec<u8>>,
    ) -> Done<Work> {
        let function = self.function(function)?.clone();
        let kernel = function.kernel();
        let refused = |why: String| {
            Failure::new(Code::INVALID_VALUE, format!("launch of `{}`: {why}", kernel.name))
        };
        let most = function.most_dynamic();
        if shape.shared > most {
            let asked = shape.shared;
            return Err(refused(format!(
                "{asked} bytes of dynamic shared memory; {most} are allowed"
            )));
        }
        let args = kernel.params.iter().enumerate();
        let args: Vec<Arg> =
            args.map(|(i, p)| Ok(Arg(arg(i, p.bytes)?))).collect::<Result<_, Failure>>()?;
        let params = parameters(kernel, shape, &args).map_err(refused)?.into();
        Ok(Work::Launch { function, shape, params })
    }

    /// Adds work to a stream, or to the graph that it records.
    pub fn enqueue(&mut self, stream: usize, work: Work) -> Done {
        self.healthy()?;
        let blocking = self.stream(stream)?.blocking;
        if let Some(graph) = &mut self.stream(stream)?.capture {
            return match work {
                Work::Launch { .. } | Work::Fill { .. } | Work::Copy { .. } => {
                    graph.push(work);
                    Ok(())
                }
                Work::Wait(_) => Err(Code::STREAM_CAPTURE_ISOLATION.into()),
                _ => Err(Code::STREAM_CAPTURE_UNSUPPORTED.into()),
            };
        }
        if blocking {
            self.join_default(stream);
        }
        self.push(stream, work);
        Ok(())
    }

    /// The default stream waits for all blocking streams, and they for it.
    fn join_default(&mut self, stream: usize) {
        let others = self.streams.iter().filter(|(number, other)| {
            **number != stream
                && other.blocking
                && !other.queue.is_empty()
                && (stream == DEFAULT_STREAM || **number == DEFAULT_STREAM)
        });
        let waits: Vec<_> =
            others.map(|(number, other)| Ticket { stream: *number, upto: other.queued }).collect();
        waits.into_iter().for_each(|ticket| self.push(stream, Work::Wait(ticket)));
    }

    fn push(&mut self, stream: usize, work: Work) {
        if let Some(stream) = self.streams.get_mut(&stream) {
            stream.queue.push_back(work);
            stream.queued += 1;
        }
    }

    /// Marks the present end of a stream with an event.
    pub fn record(&mut self, event: usize, stream: usize) -> Done {
        self.event(event)?;
        self.enqueue(stream, Work::Record { event })?;
        let ticket = Ticket { stream, upto: self.stream(stream)?.queued };
        *self.event(event)? = Event { ticket: Some(ticket), time: None, ..*self.event(event)? };
        Ok(())
    }

    /// Makes a stream wait for an event; one that was never recorded is no reason to wait.
    pub fn wait(&mut self, stream: usize, event: usize) -> Done {
        match self.event(event)?.ticket {
            Some(ticket) => self.enqueue(stream, Work::Wait(ticket)),
            None => Ok(()),
        }
    }

    /// Runs until an event's work is done.
    pub fn synchronize_event(&mut self, event: usize) -> Done {
        self.healthy()?;
        self.event(event)?.ticket.map_or(Ok(()), |ticket| self.advance(ticket))
    }

    /// Whether an event's work is done. Each question moves its stream by one piece of work, so
    /// that a loop of questions ends.
    pub fn query_event(&mut self, event: usize) -> Done {
        self.healthy()?;
        let ticket = self.event(event)?.ticket;
        match ticket {
            Some(ticket) if !self.reached(ticket) => self.nudge(ticket),
            _ => Ok(()),
        }
    }

    /// Whether a stream is idle; see [`query_event`](Self::query_event).
    pub fn query(&mut self, stream: usize) -> Done {
        self.healthy()?;
        let ticket = Ticket { stream, upto: self.stream(stream)?.queued };
        if self.reached(ticket) { Ok(()) } else { self.nudge(ticket) }
    }

    fn nudge(&mut self, ticket: Ticket) -> Done {
        let mut next = ticket;
        while let Some(other) = self.blocked(next.stream) {
            next = other;
        }
        self.step(next.stream)?;
        if self.reached(ticket) { Ok(()) } else { Err(Code::NOT_READY.into()) }
    }

    /// The milliseconds between two events; both must have happened.
    pub fn elapsed(&self, [start, end]: [usize; 2]) -> Done<f32> {
        let time = |event| {
            let event = self.events.get(event).filter(|event| event.timed);
            match event.map(|event| (event.ticket, event.time)) {
                Some((Some(ticket), Some(time))) if self.reached(ticket) => Ok(time),
                Some((Some(_), _)) => Err(Failure::from(Code::NOT_READY)),
                _ => Err(Code::INVALID_HANDLE.into()),
            }
        };
        let (start, end) = (time(&start)?, time(&end)?);
        let seconds = match end.checked_duration_since(start) {
            Some(forward) => forward.as_secs_f32(),
            None => -(start - end).as_secs_f32(),
        };
        Ok(seconds * 1e3)
    }

    /// Runs all that a stream has been given.
    pub fn synchronize(&mut self, stream: usize) -> Done {
        self.healthy()?;
        self.not_capturing(stream)?;
        if self.stream(stream)?.blocking {
            self.join_default(stream);
        }
        let upto = self.stream(stream)?.queued;
        self.advance(Ticket { stream, upto })
    }

    /// Runs all that any stream has been given.
    pub fn synchronize_all(&mut self) -> Done {
        self.healthy()?;
        let streams = self.streams.iter();
        let ends: Vec<_> =
            streams.map(|(number, s)| Ticket { stream: *number, upto: s.queued }).collect();
        ends.into_iter().try_for_each(|end| self.advance(end))
    }

    fn reached(&self, ticket: Ticket) -> bool {
        self.streams.get(&ticket.stream).is_none_or(|stream| stream.done >= ticket.upto)
    }

    /// What the next piece of a stream's work waits for.
    fn blocked(&self, stream: usize) -> Option<Ticket> {
        match self.streams.get(&stream)?.queue.front() {
            Some(Work::Wait(ticket)) if !self.reached(*ticket) => Some(*ticket),
            _ => None,
        }
    }

    fn advance(&mut self, goal: Ticket) -> Done {
        let mut goals = vec![goal];
        while let Some(&goal) = goals.last() {
            self.meddle()?;
            if self.reached(goal) {
                goals.pop();
            } else if let Some(first) = self.blocked(goal.stream) {
                goals.push(first);
            } else {
                self.step(goal.stream)?;
            }
        }
        Ok(())
    }

    /// Lets other streams move, if the order is to be shuffled.
    fn meddle(&mut self) -> Done {
        while self.random != 0 && self.draw() % 2 == 1 {
            let ready: Vec<usize> = self
                .streams
                .iter()
                .filter(|(number, s)| !s.queue.is_empty() && self.blocked(**number).is_none())
                .map(|(number, _)| *number)
                .collect();
            if ready.is_empty() {
                break;
            }
            let chosen = ready[self.draw() as usize % ready.len()];
            self.step(chosen)?;
        }
        Ok(())
    }

    /// Marsaglia's xorshift64, its high bits.
    fn draw(&mut self) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 32) as u32
    }

    /// Does the next piece of a stream's work.
    fn step(&mut self, stream: usize) -> Done {
        let Some(found) = self.streams.get_mut(&stream) else { return Ok(()) };
        let Some(work) = found.queue.pop_front() else { return Ok(()) };
        found.done += 1;
        let done = self.perform(work);
        if let Err(failure) = &done {
            self.failure = Some(failure.clone());
            self.streams.values_mut().for_each(|stream| stream.queue.clear());
        }
        done
    }

    fn perform(&mut self, work: Work) -> Done {
        match work {
            Work::Launch { function, shape, params } => {
                let loaded = &function.loaded;
                let constants = match loaded.constants {
                    Some(at) => self.memory.read(at, loaded.module.constants.len())?,
                    None => Vec::new(),
                };
                let inputs = [&params[..], &constants];
                loaded.module.run(&mut self.memory, function.kernel(), shape, inputs)?;
            }
            Work::Fill { at, len, pattern } => self.memory.fill(at, len, &pattern)?,
            Work::Write { at, bytes } => self.memory.write(at, &bytes)?,
            Work::Copy { to, from, len } => self.memory.copy(to, from, len)?,
            Work::Free { at } => self.memory.free(at)?,
            Work::Wait(_) => {}
            Work::Record { event } => {
                if let Some(event) = self.events.get_mut(&event) {
                    event.time = Some(Instant::now());
                }
            }
        }
        Ok(())
    }
}
