//! `define-topic-handler FILE`: makes a handler of a topic, or replaces it.

use super::{CliError, client, client::Server, flags::Flags, input};

pub fn run(server: &Server, arguments: &[String]) -> Result<(), CliError> {
    let flags = Flags::read(arguments, &[], &["json"])?;
    let [path] = flags.words.as_slice() else {
        return Err(CliError::Usage("Must provide a path to a handler file.".to_owned()));
    };
    let handler = input::structured(path, "handler spec file")?;
    let (topic, id) = (super::text(&handler, "topic"), super::text(&handler, "id"));
    let handlers = format!("/alerts/topics/{}/handlers", client::segment(&topic));
    let client = server.connect()?;
    let one = format!("{handlers}/{}", client::segment(&id));
    let object = match client.get(&one) {
        Ok(_) => client.call_json("PUT", &one, Some(&handler))?,
        Err(_) => client.call_json("POST", &handlers, Some(&handler))?,
    };
    super::result(&flags, &object)
}
