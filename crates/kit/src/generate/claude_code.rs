//! Claude Code: settings that send its requests to the gateway, in each of the forms that it reads.
//!
//! Sources: <https://code.claude.com/docs/en/settings-reference>, <https://code.claude.com/docs/en/managed-settings>,
//! <https://code.claude.com/docs/en/llm-gateway-connect>.

use super::{Comment, File, Output, Plan, Product, Refusal, plan::Admits};
use serde_json::{Map, Value, json};

pub(super) const PRODUCT: Product = Product {
    name: "Claude Code",
    help: "https://code.claude.com/docs",
    versions: "2.1 and later",
    is_gateway: false,
};

/// How long Claude Code keeps what the command printed, where that is a token that expires.
const TOKEN_TTL_MS: u32 = 240_000;

pub(super) fn generate(plan: &Plan) -> Result<Output, Refusal> {
    let settings = settings(plan, plan.credential_command());
    let on_windows = settings_for_windows(plan);
    Ok(Output {
        files: vec![
            File::new("user/settings.json", Comment::Nowhere, pretty(&settings)),
            File::new("project-local/settings.local.json", Comment::Nowhere, pretty(&settings)),
            File::new("managed/managed-settings.json", Comment::Nowhere, pretty(&settings)),
            File::new("mdm/com.anthropic.claudecode.plist", Comment::Xml, plist(&settings)),
            File::new("mdm/claude-code.reg", Comment::BelowFirst(";"), registry(&on_windows)),
        ],
        cannot: cannot(),
        next: next(plan),
    })
}

fn settings(plan: &Plan, credential_command: String) -> Value {
    let mut env = Map::new();
    env.insert("ANTHROPIC_BASE_URL".to_owned(), plan.client_url().into());
    // The list of models comes from the gateway, so that what it adds or hides is seen.
    env.insert("CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY".to_owned(), "1".into());
    if let Admits::Tokens(_) = plan.admits() {
        env.insert("CLAUDE_CODE_API_KEY_HELPER_TTL_MS".to_owned(), TOKEN_TTL_MS.to_string().into());
    }
    let mut settings = json!({
        "$schema": "https://json.schemastore.org/claude-code-settings.json",
        "apiKeyHelper": credential_command,
        "env": env,
    });
    // Patterns mean nothing to Claude Code.
    let models: Vec<&str> = plan.models.iter().map(|model| model.as_str()).collect();
    if !models.is_empty() && !models.iter().any(|model| model.contains('*')) {
        settings["availableModels"] = models.into();
    }
    settings
}

fn settings_for_windows(plan: &Plan) -> Value {
    let command = match plan.own_credential_command() {
        Some(command) => command.to_owned(),
        None => format!("type \"%USERPROFILE%\\.config\\{}\\key\"", plan.name),
    };
    settings(plan, command)
}

fn pretty(settings: &Value) -> String {
    format!("{settings:#}\n")
}

/// A preference list of macOS, as device management hands it out.
fn plist(settings: &Value) -> String {
    let mut text = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
         <plist version=\"1.0\">\n",
    );
    property(settings, "", &mut text);
    text.push_str("</plist>\n");
    text
}

fn property(value: &Value, indent: &str, text: &mut String) {
    let below = format!("{indent}  ");
    match value {
        Value::Object(fields) => {
            text.push_str(&format!("{indent}<dict>\n"));
            // The schema is for editors.
            for (name, value) in fields.iter().filter(|(name, _)| !name.starts_with('$')) {
                text.push_str(&format!("{below}<key>{}</key>\n", escaped(name)));
                property(value, &below, text);
            }
            text.push_str(&format!("{indent}</dict>\n"));
        }
        Value::Array(items) => {
            text.push_str(&format!("{indent}<array>\n"));
            items.iter().for_each(|item| property(item, &below, text));
            text.push_str(&format!("{indent}</array>\n"));
        }
        Value::String(one) => text.push_str(&format!("{indent}<string>{}</string>\n", escaped(one))),
        Value::Bool(flag) => text.push_str(&format!("{indent}<{flag}/>\n")),
        Value::Number(number) => text.push_str(&format!("{indent}<integer>{number}</integer>\n")),
        Value::Null => {}
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A value of the registry of Windows: the settings as one line of JSON.
fn registry(settings: &Value) -> String {
    // Windows reads a file without a mark of its encoding in that of the machine, so only ASCII is written.
    let ascii = |c: char| match c {
        c if c.is_ascii() => c.to_string(),
        c => c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
    };
    let json: String = settings.to_string().chars().map(ascii).collect();
    let json = json.replace('\\', "\\\\").replace('"', "\\\"");
    format!(
        "Windows Registry Editor Version 5.00\n\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\ClaudeCode]\n\"Settings\"=\"{json}\"\n"
    )
}

fn cannot() -> Vec<String> {
    [
        "Settings of a user or a project bind nobody: whoever has the file may change it. Managed settings stand above both.",
        "They bind Claude Code only. Let the network keep other clients from the API.",
        "They hold no credential: a command prints it when it is needed, and again after a 401.",
    ]
    .map(str::to_owned)
    .to_vec()
}

fn next(plan: &Plan) -> Vec<String> {
    let credential = match (plan.own_credential_command(), plan.admits()) {
        (Some(command), _) => format!("See that `{command}` prints a credential of the gateway on every machine"),
        (None, Admits::Keys(_)) => format!(
            "Give each member their key in ~/.config/{}/key, readable by themselves alone",
            plan.name
        ),
        (None, Admits::Tokens(_)) => {
            "Set client.credential_command in the plan to a command that prints a fresh token, and generate again".to_owned()
        }
    };
    vec![
        credential,
        "For one user: user/settings.json is ~/.claude/settings.json; keep what that file holds already".to_owned(),
        "For one project: project-local/settings.local.json is .claude/settings.local.json; never commit it".to_owned(),
        "For all users of a machine: managed/managed-settings.json is /etc/claude-code/managed-settings.json on Linux, \
         /Library/Application Support/ClaudeCode/managed-settings.json on macOS, C:\\Program \
         Files\\ClaudeCode\\managed-settings.json on Windows"
            .to_owned(),
        "For a fleet: hand mdm/com.anthropic.claudecode.plist out for the preference domain com.anthropic.claudecode, and \
         import mdm/claude-code.reg by group policy"
            .to_owned(),
        "Prove it: start `claude`, type `/status`, and look for the base URL; or run `tollgate doctor client`".to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_and_the_preferences_hold_the_settings() {
        let settings = json!({ "$schema": "x", "apiKeyHelper": "type \"C:\\a b\" & <x> \u{e4}\u{1f600}", "env": { "A": "1" }, "availableModels": ["m"] });
        let registry = registry(&settings);
        assert!(registry.is_ascii());
        let value = registry
            .lines()
            .last()
            .unwrap()
            .strip_prefix("\"Settings\"=\"")
            .unwrap()
            .strip_suffix('"')
            .unwrap();
        // The escapes of the registry are among those of JSON.
        let value: String = serde_json::from_str(&format!("\"{value}\"")).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&value).unwrap(), settings);
        let plist = plist(&settings);
        assert!(
            plist.contains("<string>type \"C:\\a b\" &amp; &lt;x&gt; \u{e4}\u{1f600}</string>"),
            "{plist}"
        );
        assert!(
            plist.contains("<key>A</key>\n    <string>1</string>") && !plist.contains("schema"),
            "{plist}"
        );
    }
}
