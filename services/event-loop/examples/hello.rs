//! The example of node's first home page, in Rust: `cargo run -p event-loop --example hello`.

use event_loop::create_server;

fn main() -> std::io::Result<()> {
    let server = create_server(|_request, mut response| {
        response.write_head(200, [("Content-Type", "text/plain")]);
        response.end("Hello World\n");
    })
    .listen(1337, "127.0.0.1")?;
    println!("Server running at http://127.0.0.1:1337/");
    server.run()
}
