use crate::transcript::{Transcript, on};

pub fn table() -> Vec<Transcript> {
    let request = |hosts: &str| format!("GET / HTTP/1.1\r\n{hosts}\r\n");
    let mut table = vec![
        on("HTTP/1.0 needs no Host", "RFC 9112, 3.2")
            .send("GET / HTTP/1.0\r\n\r\n")
            .hello()
            .with("Connection", "close")
            .closes(),
        on("two Hosts are refused in HTTP/1.0 too", "RFC 9112, 3.2")
            .send("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n")
            .refused(400),
    ];
    for (name, hosts) in [
        ("a host with a port is valid", "Host: a.example:8080\r\n"),
        ("a host with an empty port is valid", "Host: a:\r\n"),
        ("an IPv4 address is a valid host", "Host: 127.0.0.1\r\n"),
        ("an IPv6 address is a valid host", "Host: [::1]:8080\r\n"),
        ("the name of a field is case-insensitive", "hOsT: a\r\n"),
        ("a host may be percent-encoded", "Host: a%2Eb\r\n"),
        ("an IPv6 address may end like an IPv4 address", "Host: [::ffff:127.0.0.1]\r\n"),
        ("an address of a future version is a valid host", "Host: [v1.a:b]:8080\r\n"),
    ] {
        table.push(on(name, "RFC 9110, 7.2").send(request(hosts)).hello());
    }
    for (name, hosts) in [
        ("a request without a Host is refused", ""),
        ("a request with two Hosts is refused", "Host: a\r\nHost: b\r\n"),
        ("a request with the same Host twice is refused", "Host: a\r\nHost: a\r\n"),
        ("an empty Host is refused", "Host:\r\n"),
        ("a Host of white space is refused", "Host: \t \r\n"),
        ("a Host with a path is refused", "Host: a/b\r\n"),
        ("a Host with a space is refused", "Host: a b\r\n"),
        ("a list of Hosts is refused", "Host: a, b\r\n"),
        ("a Host with user information is refused", "Host: me@a\r\n"),
        ("a Host with a port that is no number is refused", "Host: a:http\r\n"),
        ("a Host with a port of six digits is refused", "Host: a:123456\r\n"),
        ("a Host with two ports is refused", "Host: a:1:2\r\n"),
        ("a Host whose bracket is not closed is refused", "Host: [::1\r\n"),
        ("a Host beyond ASCII is refused", "Host: é\r\n"),
        ("a Host in brackets that is no address is refused", "Host: [zz]\r\n"),
        ("a Host in brackets with a group of five digits is refused", "Host: [12345]\r\n"),
        ("an IPv4 address in brackets is refused", "Host: [127.0.0.1]\r\n"),
        ("an IPv6 address without brackets is refused", "Host: ::1\r\n"),
        ("a Host with a zone is refused", "Host: [fe80::1%25eth0]\r\n"),
        ("a Host whose percent sign has no two digits is refused", "Host: a%4\r\n"),
        ("a Host whose percent sign has no hexadecimal digits is refused", "Host: a%zz\r\n"),
    ] {
        table.push(on(name, "RFC 9112, 3.2").send(request(hosts)).refused(400));
    }
    table
}
