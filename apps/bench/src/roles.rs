//! What threads in other address spaces do. They have the program's code and constants, but neither its variables nor its heap, so they use
//! system calls, registers and their own pages, and nothing else.

use motte::abi::{Error, MessageInfo, PAGE_SIZE};
use motte::kernel::{Endpoint, Notification, Reply};

use crate::child::{BUFFER, SHARED};
use crate::machine;

/// The first function of such a thread.
pub type Role = extern "C" fn(u64) -> !;

/// Slot of a child's endpoint.
pub const ENDPOINT: Endpoint = Endpoint::at(1);
/// Slot of its Reply object.
pub const REPLY: Reply = Reply::at(2);
/// Slot of its notification.
pub const NOTIFICATION: Notification = Notification::at(3);
/// The first slot of its table that is free.
pub const FREE: u64 = 16;

/// How often [`poll`] looks.
pub const POLLS: usize = 256;

/// Words of the message buffer begin at its beginning; the first slot for a capability that arrives is at this offset.
const RECEIVE_SLOT: u64 = 928;

/// Serves: messages without words.
pub extern "C" fn serve_empty(answer: u64) -> ! {
    while ENDPOINT.reply_receive_empty(REPLY, MessageInfo(answer)).is_ok() {}
    machine::give_up()
}

/// Serves: answers with the words that came, at most four.
pub extern "C" fn serve_short(answer: u64) -> ! {
    let mut words = [0; 4];
    while let Ok(message) = ENDPOINT.reply_receive_short(REPLY, MessageInfo(answer), words) {
        words = [message.words[0], message.words[1], message.words[2], message.words[3]];
    }
    machine::give_up()
}

/// Serves: answers with the words that came, however many: those from the seventh on lie in the message buffer, in which they came.
pub extern "C" fn serve_long(answer: u64) -> ! {
    let mut words = [0; 6];
    while let Ok(message) = ENDPOINT.reply_receive(REPLY, MessageInfo(answer), words) {
        words = message.words;
    }
    machine::give_up()
}

/// Serves: answers with every word, and the label, one larger than they came. To see that words arrive.
pub extern "C" fn serve_successors(_: u64) -> ! {
    let (mut words, mut answer) = ([0; 6], MessageInfo::default());
    while let Ok(message) = ENDPOINT.reply_receive(REPLY, answer, words) {
        words = message.words.map(|word| word.wrapping_add(1));
        let length = message.info.length();
        for index in 6..length as u64 {
            // SAFETY: the buffer is mapped there, and the length is at most what it holds.
            unsafe {
                let word = machine::read_word(BUFFER + index * 8);
                machine::write_word(BUFFER + index * 8, word.wrapping_add(1));
            }
        }
        answer = MessageInfo::new(message.info.label() + 1, length, 0);
    }
    machine::give_up()
}

/// Serves: takes a capability with each message, into one slot after the other.
pub extern "C" fn serve_capabilities(answer: u64) -> ! {
    let mut slot = FREE;
    loop {
        // SAFETY: the buffer is mapped there.
        unsafe { machine::write_word(BUFFER + RECEIVE_SLOT, slot) };
        if ENDPOINT.reply_receive_empty(REPLY, MessageInfo(answer)).is_err() {
            machine::give_up();
        }
        slot += 1;
    }
}

/// Waits to be signalled, again and again.
pub extern "C" fn wait(_: u64) -> ! {
    while NOTIFICATION.wait().is_ok() {}
    machine::give_up()
}

/// Looks at the notification in `slot`, [`POLLS`] times, and leaves in the shared page how long each took.
pub extern "C" fn poll(slot: u64) -> ! {
    for index in 0..POLLS as u64 {
        let begin = machine::stamp();
        let result = Notification::at(slot).poll();
        let end = machine::stamp();
        if result != Err(Error::WouldBlock) {
            machine::give_up();
        }
        // SAFETY: the page is mapped there.
        unsafe { machine::write_word(SHARED + index * 8, end.wrapping_sub(begin).into()) };
    }
    while Notification::at(slot).wait().is_ok() {}
    machine::give_up()
}

/// Writes to one page after the other, from `address` on.
pub extern "C" fn touch_pages(mut address: u64) -> ! {
    loop {
        // SAFETY: whoever started this has nothing but faults and fresh pages there.
        unsafe { machine::write_word(address, address) };
        address += PAGE_SIZE as u64;
    }
}

/// In the program's own address space: leaves in word 2 of the page when it began, and waits for ever on the notification in the slot that
/// word 3 names.
pub extern "C" fn begin(page: u64) -> ! {
    let began = machine::stamp();
    // SAFETY: whoever started this has mapped the page.
    let slot = unsafe {
        machine::write_word(page + 16, began.into());
        machine::read_word(page + 24)
    };
    while Notification::at(slot).wait().is_ok() {}
    machine::give_up()
}

/// A driver: counts in word 1 of the shared page how often it was woken, and leaves in words 2 and 3 when it last was and what stood in
/// word 0 then.
pub extern "C" fn drive(_: u64) -> ! {
    let mut count = 0;
    while NOTIFICATION.wait().is_ok() {
        let woken = machine::stamp();
        count += 1;
        // SAFETY: the page is mapped there.
        unsafe {
            machine::write_word(SHARED + 16, woken.into());
            machine::write_word(SHARED + 24, machine::read_word(SHARED));
            machine::write_word(SHARED + 8, count);
        }
    }
    machine::give_up()
}
