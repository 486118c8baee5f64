//! `service-tests PATTERN…`: a message through each service that matches.

use serde_json::{Value, json};

use super::{
    CliError, client,
    client::Server,
    flags::Flags,
    list::services_matching,
    look::{self, Column},
    text,
};

pub fn run(server: &Server, arguments: &[String]) -> Result<(), CliError> {
    let flags = Flags::read(arguments, &[], &["json"])?;
    if flags.words.is_empty() {
        return Err(CliError::Failed("must provide at least one service name or pattern.".to_owned()));
    }
    let client = server.connect()?;
    let (mut rows, mut results) = (Vec::new(), Vec::new());
    for pattern in &flags.words {
        for service in services_matching(&client, pattern)? {
            let name = text(&service, "name");
            let path = format!("/service-tests/{}", client::segment(&name));
            let result = client.call_json("POST", &path, Some(&Value::Null))?;
            let success = result.get("success").and_then(Value::as_bool).unwrap_or_default();
            rows.push(vec![name.clone(), success.to_string(), text(&result, "message")]);
            results.push(json!({ "service": name, "success": success, "message": text(&result, "message") }));
        }
    }
    if flags.is_set("json") {
        return super::result(&flags, &Value::Array(results));
    }
    let columns = [("Service", Column::Fixed(20)), ("Success", Column::Fixed(10)), ("Message", Column::Rest)];
    super::print(&look::table(&columns, &rows));
    Ok(())
}
