//! `show-template ID`.

use super::{CliError, client, client::Server, flags::Flags, look, text};

pub fn run(server: &Server, arguments: &[String]) -> Result<(), CliError> {
    let flags = Flags::read(arguments, &[], &["json"])?;
    let [id] = flags.words.as_slice() else {
        return Err(CliError::Usage("Must specify one template ID".to_owned()));
    };
    let path = format!("/templates/{}?script-format=formatted", client::segment(id));
    let template = server.connect()?.get(&path)?;
    if flags.is_set("json") {
        return super::result(&flags, &template);
    }
    say!("ID: {}", text(&template, "id"));
    say!("Error: {}", text(&template, "error"));
    say!("Type: {}", text(&template, "type"));
    say!("Created: {}", look::utc(&text(&template, "created")));
    say!("Modified: {}", look::utc(&text(&template, "modified")));
    say!("TICKscript:\n{}", text(&template, "script"));
    say!("Vars:\n{:30}{:10}{:40}{:40}", "Name", "Type", "Default Value", "Description");
    for (name, kind, value, description) in look::vars(&template) {
        say!("{name:30}{kind:10}{value:40}{description:40}");
    }
    say!("DOT:\n{}", text(&template, "dot"));
    Ok(())
}
