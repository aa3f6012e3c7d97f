use super::{get, post, request};
use crate::transcript::{Transcript, on};

pub fn table() -> Vec<Transcript> {
    let mut table = vec![
        on("content of the given length is taken", "RFC 9112, 6.2")
            .send(post("Content-Length: 5\r\n", "hello"))
            .reply(200)
            .number(),
        on("a POST without content needs no length", "RFC 9112, 6.3").send(post("", "")).reply(200).number(),
        on("a length of zero means no content", "RFC 9112, 6.2")
            .send(post("Content-Length: 0\r\n", ""))
            .reply(200)
            .number(),
        on("leading zeros do not change a length", "RFC 9110, 8.6")
            .send(post("Content-Length: 000003\r\n", "abc"))
            .reply(200)
            .number(),
        on("white space around a length is not part of it", "RFC 9112, 5.1")
            .send(post("Content-Length:\t 3 \t\r\n", "abc"))
            .reply(200)
            .number(),
        on("the content of a GET is taken and ignored", "RFC 9110, 9.3.1")
            .send(request("GET", "/", "Content-Length: 3\r\n") + "abc" + &get("/nowhere"))
            .hello()
            .reply(404),
        on("content that looks like a request is not answered", "RFC 9112, 6.2")
            .send(post("Content-Length: 33\r\n", &get("/nowhere")[..33]))
            .reply(200)
            .number(),
        on("content of a request for an unknown path is read and ignored", "RFC 9110, 15.5.5")
            .send(request("POST", "/nowhere", "Content-Length: 3\r\n") + "abc")
            .reply(404),
        on("a length above 64 bits is too large", "RFC 9110, 8.6")
            .send(post("Content-Length: 99999999999999999999999999\r\n", "abc"))
            .refused(413),
    ];
    for (name, length) in [
        ("an empty length is refused", ""),
        ("a length with a plus is refused", "+3"),
        ("a negative length is refused", "-3"),
        ("a list of the same length twice is refused", "3, 3"),
        ("a list of lengths is refused", "3, 4"),
        ("a length with a space in it is refused", "3 3"),
        ("a hexadecimal length is refused", "0x3"),
        ("a length with an exponent is refused", "3e0"),
        ("a length with a fraction is refused", "3.0"),
        ("a length with a parameter is refused", "3;a"),
        ("a length in quotes is refused", "\"3\""),
        ("a length with an underscore is refused", "0_3"),
        ("a length in digits beyond ASCII is refused", "٣"),
    ] {
        table.push(on(name, "RFC 9110, 8.6").send(post(&format!("Content-Length: {length}\r\n"), "abc")).refused(400));
    }
    table.push(
        on("the same length on two lines is refused", "RFC 9112, 6.3")
            .send(post("Content-Length: 3\r\nContent-Length: 3\r\n", "abc"))
            .refused(400),
    );
    table.push(
        on("two lengths are refused", "RFC 9112, 6.3")
            .send(post("Content-Length: 3\r\nContent-Length: 33\r\n", "abc"))
            .refused(400),
    );
    table
}
