//! Frames: their checksums, and which segments are made one.

use motte_net::frame::{Class, ETHERNET, classify_frame, fill_checksum};
use motte_net::merge::Run;
use motte_net::split::{LARGEST, Large};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetProtocol, EthernetRepr, IpAddress, IpProtocol, IpRepr, TcpControl, TcpPacket, TcpRepr,
    TcpSeqNumber,
};

fn segment(sequence: i32, acknowledgement: i32, payload: &[u8]) -> TcpRepr<'_> {
    TcpRepr {
        src_port: 1000,
        dst_port: 80,
        control: TcpControl::None,
        seq_number: TcpSeqNumber(sequence),
        ack_number: Some(TcpSeqNumber(acknowledgement)),
        window_len: 8000,
        window_scale: None,
        max_seg_size: None,
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload,
    }
}

/// A frame as it would come from the network; over IPv6 if so wanted.
fn frame(tcp: &TcpRepr<'_>, v6: bool) -> Vec<u8> {
    let (source, destination) = match v6 {
        false => (IpAddress::v4(10, 0, 0, 1), IpAddress::v4(10, 0, 0, 2)),
        true => (IpAddress::v6(0xfe80, 0, 0, 0, 0, 0, 0, 1), IpAddress::v6(0xfe80, 0, 0, 0, 0, 0, 0, 2)),
    };
    let ip = IpRepr::new(source, destination, IpProtocol::Tcp, tcp.buffer_len(), 64);
    let ethernet = EthernetRepr {
        src_addr: EthernetAddress([2, 0, 0, 0, 0, 1]),
        dst_addr: EthernetAddress([2, 0, 0, 0, 0, 2]),
        ethertype: if v6 { EthernetProtocol::Ipv6 } else { EthernetProtocol::Ipv4 },
    };
    let header = ip.header_len();
    let mut bytes = vec![0; ETHERNET + header + tcp.buffer_len()];
    let checksums = ChecksumCapabilities::default();
    ethernet.emit(&mut smoltcp::wire::EthernetFrame::new_unchecked(&mut bytes[..]));
    ip.emit(&mut bytes[ETHERNET..], &checksums);
    let packet = &mut TcpPacket::new_unchecked(&mut bytes[ETHERNET + header..]);
    tcp.emit(packet, &source, &destination, &checksums);
    // Short frames are filled up.
    bytes.resize(bytes.len().max(60), 0xee);
    bytes
}

/// Whether the second can be made one with the first.
fn merge(first: &TcpRepr<'_>, second: &TcpRepr<'_>) -> bool {
    let both = [false, true].map(|v6| Run::default().add(&frame(first, v6), &frame(second, v6), true));
    assert_eq!(both[0], both[1]);
    both[0]
}

#[test]
fn segments_that_follow_one_another_are_one_with_the_data_of_all() {
    let data: Vec<u8> = (0..14600u32).map(|n| (n ^ n >> 8) as u8).collect();
    for v6 in [false, true] {
        let pieces: Vec<&[u8]> = data.chunks(1460).collect();
        let start = i32::MAX - 3000;
        let at = |index: usize| start.wrapping_add(index as i32 * 1460);
        let frames: Vec<Vec<u8>> =
            (0..10).map(|index| frame(&segment(at(index), 7 + index as i32, pieces[index]), v6)).collect();
        let mut run = Run::default();
        for pair in frames.windows(2) {
            assert!(run.add(&pair[0], &pair[1], true));
        }
        let mut merged = run.finish().to_vec();
        // What the card would have said of its checksum.
        fill_checksum(&mut merged[ETHERNET..], false).unwrap();
        assert!(matches!(classify_frame(&merged, true), Class::Tcp { syn: false, reset: false, .. }));
        let tcp = TcpPacket::new_checked(&merged[ETHERNET + if v6 { 40 } else { 20 }..]).unwrap();
        assert!(tcp.payload() == data);
        assert_eq!((tcp.seq_number().0, tcp.ack_number().0), (start, 16));
        if !v6 {
            let ip = smoltcp::wire::Ipv4Packet::new_checked(&merged[ETHERNET..]).unwrap();
            assert!(ip.verify_checksum());
        }
    }
}

#[test]
fn acknowledgements_are_one_only_if_the_later_says_more() {
    assert!(merge(&segment(1, 100, &[]), &segment(1, 101, &[])));
    assert!(merge(&segment(1, i32::MAX, &[]), &segment(1, i32::MIN, &[])));
    assert!(merge(&segment(1, 100, b"data"), &segment(5, 101, &[])));
    assert!(merge(&segment(1, 100, &[]), &segment(1, 100, b"data")));
    // The same once more tells of a loss, or of a window that opened.
    assert!(!merge(&segment(1, 100, &[]), &segment(1, 100, &[])));
    assert!(!merge(&segment(1, 100, b"data"), &segment(5, 100, &[])));
    assert!(!merge(&segment(1, 101, &[]), &segment(1, 100, &[])));
}

#[test]
fn what_is_out_of_order_or_says_something_else_stays_alone() {
    let first = segment(1, 100, b"data");
    for sequence in [1, 4, 6] {
        assert!(!merge(&first, &segment(sequence, 100, b"more")));
    }
    let next = segment(5, 100, b"more");
    assert!(merge(&first, &next));
    assert!(merge(&first, &TcpRepr { control: TcpControl::Psh, ..next }));
    for control in [TcpControl::Syn, TcpControl::Fin, TcpControl::Rst] {
        assert!(!merge(&first, &TcpRepr { control, ..next }));
        assert!(!merge(&TcpRepr { control, ..first }, &next));
    }
    let ranges = [Some((1, 2)), None, None];
    assert!(!merge(&first, &TcpRepr { sack_ranges: ranges, ..next }));
    assert!(!merge(&first, &TcpRepr { ack_number: None, ..next }));
}

#[test]
fn only_what_is_of_the_same_connection_and_right_is_merged() {
    for v6 in [false, true] {
        let (first, next) = (frame(&segment(1, 7, &[1; 1460]), v6), frame(&segment(1461, 7, &[2; 1460]), v6));
        assert!(Run::default().add(&first, &next, true));
        let tcp = ETHERNET + if v6 { 40 } else { 20 };
        // Of both addresses and ports the last bytes, and one of the data.
        for at in [tcp - 1, tcp - if v6 { 17 } else { 5 }, tcp + 1, tcp + 3, next.len() - 1] {
            let mut other = next.clone();
            other[at] ^= 1;
            assert!(!Run::default().add(&first, &other, true), "byte {at}");
            assert_eq!(Run::default().add(&first, &other, false), at == next.len() - 1, "byte {at}");
        }
    }
    // A fragment.
    let (first, mut next) = (frame(&segment(1, 7, &[1; 100]), false), frame(&segment(101, 7, &[2; 100]), false));
    next[ETHERNET + 6] |= 0x20;
    assert!(!Run::default().add(&first, &next, true));
}

#[test]
fn what_answers_segments_that_came_too_early_is_sent_as_often_as_they_came() {
    for v6 in [false, true] {
        let frames = [1, 2, 3].map(|index| frame(&segment(1460 * index, 7, &[1; 1460]), v6));
        let mut run = Run::default();
        let answer = |number| frame(&TcpRepr { control: TcpControl::None, ..segment(7, number, &[]) }, v6);
        assert!(!run.has_several() && run.answers(&answer(0)) == 1);
        // An acknowledgement before data, as it comes before each request, makes no more of them.
        let acknowledgement = frame(&segment(1460, 6, &[]), v6);
        assert!(run.add(&acknowledgement, &frames[0], true) && !run.has_several());
        assert_eq!(run.answers(&answer(0)), 1);
        run.clear();
        assert!(run.add(&frames[0], &frames[1], true) && run.add(&frames[1], &frames[2], true));
        assert!(run.has_several());
        assert_eq!((run.answers(&answer(0)), run.answers(&answer(1459))), (3, 3));
        assert_eq!((run.answers(&answer(1460)), run.answers(&answer(4 * 1460))), (1, 1));
        assert_eq!(run.answers(&frame(&TcpRepr { control: TcpControl::Rst, ..segment(7, 0, &[]) }, v6)), 1);
        assert_eq!(run.answers(&[]), 1);
    }
}

#[test]
fn what_is_merged_is_no_longer_than_a_packet_can_be() {
    let data = [0; 1460];
    let mut run = Run::default();
    let frames: Vec<Vec<u8>> = (0..100).map(|index| frame(&segment(index * 1460, 1, &data), false)).collect();
    let added = frames.windows(2).take_while(|pair| run.add(&pair[0], &pair[1], true)).count();
    assert_eq!(added + 1, (65535 - 40) / 1460);
    assert!(fill_checksum(&mut run.finish().to_vec()[ETHERNET..], false).is_some());
    // Emptied, it begins anew.
    run.clear();
    assert!(run.is_empty() && run.add(&frames[0], &frames[1], true));
    assert_eq!(run.finish().len(), ETHERNET + 40 + 2 * 1460);
}

/// What is made one is no longer than the two were.
fn merge_any(first: &[u8], second: &[u8]) {
    let mut run = Run::default();
    if run.add(first, second, true) {
        assert!(run.finish().len() < first.len() + second.len());
    }
}

#[test]
fn a_senseless_frame_does_no_harm() {
    let good = frame(&segment(1, 1, b"data"), false);
    for length in 0..good.len() {
        merge_any(&good[..length], &good);
        merge_any(&good, &good[..length]);
    }
    let mut other = good.clone();
    for at in 0..other.len() {
        for value in [0, 0xff, 0x45, 0x60] {
            let kept = std::mem::replace(&mut other[at], value);
            merge_any(&other, &good);
            merge_any(&good, &other);
            other[at] = kept;
        }
    }
}

#[test]
fn checksums_are_those_that_others_compute() {
    let bytes: Vec<u8> = (0..1400u32).map(|n| if n % 3 == 0 { 0xff } else { ((n * 31) >> 3) as u8 }).collect();
    for length in (0..200).chain(1300..1400) {
        for (v6, payload) in [(false, &bytes[..length]), (true, &vec![0xff; length][..])] {
            let mut frame = frame(&segment(-1, -1, payload), v6);
            assert!(matches!(classify_frame(&frame, true), Class::Tcp { .. }), "{length}");
            let last = ETHERNET + if v6 { 40 } else { 20 } + 20 + length - 1;
            frame[last] ^= 1;
            assert_eq!(classify_frame(&frame, true), Class::Senseless, "{length}");
        }
    }
}

#[test]
fn what_is_cut_and_made_one_again_is_what_it_was() {
    let data: Vec<u8> = (0..LARGEST as u32 - 54).map(|n| (n ^ n >> 8) as u8).collect();
    for (most, control) in [(1460, TcpControl::Psh), (536, TcpControl::None), (1000, TcpControl::Fin)] {
        let whole = frame(&TcpRepr { control, ..segment(i32::MAX - 5000, 7, &data) }, false);
        let large = Large::of(&whole).unwrap();
        let mut frames = Vec::new();
        for (place, data) in large.pieces(most) {
            let mut piece = vec![0; large.length(data)];
            large.write(place, data, &mut piece);
            fill_checksum(&mut piece[ETHERNET..], false).unwrap();
            assert!(matches!(classify_frame(&piece, true), Class::Tcp { syn: false, reset: false, .. }));
            assert!(smoltcp::wire::Ipv4Packet::new_checked(&piece[ETHERNET..]).unwrap().verify_checksum());
            let tcp = TcpPacket::new_checked(&piece[ETHERNET + 20..]).unwrap();
            let is_last = place + data.len() == LARGEST - 54;
            assert_eq!(
                (tcp.fin(), tcp.psh()),
                (is_last && control == TcpControl::Fin, is_last && control == TcpControl::Psh)
            );
            assert!(tcp.payload().len() <= most);
            frames.push(piece);
        }
        let mut run = Run::default();
        let added = frames.windows(2).take_while(|pair| run.add(&pair[0], &pair[1], true)).count();
        // What ends a connection stays alone.
        let left = if control == TcpControl::Fin { frames.pop().unwrap().len() - 54 } else { 0 };
        assert_eq!(added + 1, frames.len());
        assert!(run.finish()[54..] == data[..data.len() - left]);
    }
    assert!(Large::of(&frame(&segment(1, 1, &data), true)).is_none());
    assert!(Large::of(&[0; 20]).is_none());
}
