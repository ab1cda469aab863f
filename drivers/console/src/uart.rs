//! A 16550A serial line (National Semiconductor PC16550D data sheet): interrupt-driven, with its 16-byte FIFOs.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// The eight registers of one line.
pub trait Ports {
    /// Reads a register.
    fn read(&mut self, register: u8) -> u8;
    /// Writes a register.
    fn write(&mut self, register: u8, value: u8);
}

const DATA: u8 = 0;
const INTERRUPT_ENABLE: u8 = 1;
const INTERRUPT_IDENTIFY: u8 = 2;
const FIFO_CONTROL: u8 = 2;
const LINE_CONTROL: u8 = 3;
const MODEM_CONTROL: u8 = 4;
const LINE_STATUS: u8 = 5;
const SCRATCH: u8 = 7;

const ENABLE_RECEIVED: u8 = 1;
const ENABLE_EMPTY: u8 = 1 << 1;
const DATA_READY: u8 = 1;
const TRANSMIT_EMPTY: u8 = 1 << 5;
const FIFO_BYTES: usize = 16;

/// The most bytes that wait to be sent; a writer beyond them waits.
pub const TRANSMIT_ROOM: usize = 16384;

/// One line.
pub struct Uart<P> {
    ports: P,
    waiting: VecDeque<u8>,
    present: bool,
    enabled: u8,
    /// Bytes that were ever sent.
    sent: u64,
}

impl<P: Ports> Uart<P> {
    /// Sets the line up: 115,200 bits per second, 8 data bits, no parity, 1 stop bit, FIFOs on. They are `clear`ed, unless what
    /// came while no driver ran is to be read.
    pub fn new(mut ports: P, clear: bool) -> Self {
        ports.write(SCRATCH, 0x5a);
        let present = ports.read(SCRATCH) == 0x5a;
        if present {
            ports.write(INTERRUPT_ENABLE, 0);
            ports.write(LINE_CONTROL, 0x80); // divisor latch
            ports.write(DATA, 1);
            ports.write(INTERRUPT_ENABLE, 0);
            ports.write(LINE_CONTROL, 0x03);
            // On, interrupt at 14 bytes or after a pause.
            ports.write(FIFO_CONTROL, 0xc1 | if clear { 0x06 } else { 0 });
            ports.write(MODEM_CONTROL, 0x0b); // ready, request to send, interrupt line on
            ports.write(INTERRUPT_ENABLE, ENABLE_RECEIVED);
        }
        Self { ports, waiting: VecDeque::new(), present, enabled: ENABLE_RECEIVED, sent: 0 }
    }

    /// Whether there is a line at these ports.
    pub fn is_present(&self) -> bool {
        self.present
    }

    /// Bytes that can be queued now.
    pub fn room(&self) -> usize {
        TRANSMIT_ROOM - self.waiting.len()
    }

    /// Whether everything queued has been handed to the line.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Queues bytes, at most [`Uart::room`]; [`Uart::transmit`] begins to send.
    pub fn queue(&mut self, bytes: impl IntoIterator<Item = u8>) {
        if self.present {
            self.waiting.extend(bytes);
        }
    }

    /// What waits, and how many bytes were sent before.
    pub fn output(&self) -> (u64, Vec<u8>) {
        (self.sent, self.waiting.iter().copied().collect())
    }

    /// Goes on with what a former driver left, of which `sent` is how many bytes it had sent in the end.
    pub fn take_over(&mut self, (before, waiting): (u64, Vec<u8>), sent: u64) {
        let gone = usize::try_from(sent.saturating_sub(before)).unwrap_or(usize::MAX).min(waiting.len());
        self.sent = sent.max(before);
        self.waiting = waiting[gone..].iter().copied().take(TRANSMIT_ROOM).collect();
    }

    /// After an interrupt: hands on what has come. [`Uart::transmit`] follows.
    pub fn service(&mut self, mut received: impl FnMut(u8)) {
        if !self.present {
            return;
        }
        // Reading the identification clears the "transmitter empty" interrupt.
        self.ports.read(INTERRUPT_IDENTIFY);
        // A line whose status is stuck must not hold the driver: one FIFO and what comes meanwhile.
        for _ in 0..4 * FIFO_BYTES {
            if self.ports.read(LINE_STATUS) & DATA_READY == 0 {
                break;
            }
            received(self.ports.read(DATA));
        }
    }

    /// Sends as much as the line takes; says after each piece how many bytes were ever sent.
    pub fn transmit(&mut self, mut note: impl FnMut(u64)) {
        if !self.present {
            return;
        }
        // The status is asked again after each FIFO: an emulated line is empty at once.
        while !self.waiting.is_empty() && self.ports.read(LINE_STATUS) & TRANSMIT_EMPTY != 0 {
            let count = self.waiting.len().min(FIFO_BYTES);
            for byte in self.waiting.drain(..count) {
                self.ports.write(DATA, byte);
            }
            self.sent += count as u64;
            note(self.sent);
        }
        let wanted = ENABLE_RECEIVED | if self.waiting.is_empty() { 0 } else { ENABLE_EMPTY };
        if wanted != self.enabled {
            self.ports.write(INTERRUPT_ENABLE, wanted);
            self.enabled = wanted;
        }
    }
}
