//! The models that a body names beside `model`.

use std::borrow::Cow;

use super::{Findings, Malformed, OTHER_MODELS_LIMIT, Scanner, Why, at, decode, model_name, wrong_type};

/// What `fallbacks` may hold. Any other shape is refused, for nobody here could tell what models it names.
const FALLBACKS: &str = "\"default\", or an array of objects that each name a `model`";

impl<'a> Findings<'a> {
    /// Passes `fallbacks`, collecting the models.
    pub(super) fn read_fallbacks(&mut self, scanner: &mut Scanner<'a>) -> Result<(), Malformed> {
        let wrong = wrong_type(scanner, "fallbacks", FALLBACKS);
        match scanner.peek() {
            Some(b'"') if decode(scanner)? == "default" => return Ok(()),
            Some(b'[') => scanner.open()?,
            _ => return Err(wrong),
        }
        let mut first = true;
        while scanner.element(first)? {
            first = false;
            self.read_fallback(scanner)?;
        }
        Ok(())
    }

    fn read_fallback(&mut self, scanner: &mut Scanner<'a>) -> Result<(), Malformed> {
        let is_object = scanner.peek() == Some(b'{');
        let wrong = wrong_type(scanner, "fallbacks", FALLBACKS);
        if !is_object {
            return Err(wrong);
        }
        scanner.open()?;
        let (mut first, mut named) = (true, false);
        while let Some(name) = scanner.member(first)? {
            first = false;
            if !name.is("model") {
                self.collect_models(scanner)?;
            } else if scanner.peek() == Some(b'"') {
                self.add_model(scanner)?;
                named = true;
            } else {
                return Err(wrong_type(scanner, "fallbacks[].model", "a string"));
            }
        }
        if named { Ok(()) } else { Err(wrong) }
    }

    /// Passes `tools`, an array, collecting the models. Gives the number of elements.
    pub(super) fn read_tools(&mut self, scanner: &mut Scanner<'a>) -> Result<usize, Malformed> {
        let mut elements = 0;
        scanner.open()?;
        while scanner.element(elements == 0)? {
            elements += 1;
            if scanner.peek() == Some(b'{') {
                self.read_tool(scanner)?;
            } else {
                self.collect_models(scanner)?;
            }
        }
        Ok(elements)
    }

    fn read_tool(&mut self, scanner: &mut Scanner<'a>) -> Result<(), Malformed> {
        scanner.open()?;
        let mut first = true;
        while let Some(name) = scanner.member(first)? {
            first = false;
            if name.is("model") && scanner.peek() == Some(b'"') {
                self.add_model(scanner)?;
            } else if name.is("type") && scanner.peek() == Some(b'"') {
                self.beyond.remote += usize::from(runs_upstream(&decode(scanner)?));
            } else if name.is("input_schema") || name.is("input_examples") {
                // A tool may well have a parameter called `model`, and examples of it.
                scanner.skip()?;
            } else {
                self.collect_models(scanner)?;
            }
        }
        Ok(())
    }

    /// Passes any value, collecting each string that stands under a key `model`. If an object has two, both are
    /// collected and both will be judged.
    pub(super) fn collect_models(&mut self, scanner: &mut Scanner<'a>) -> Result<(), Malformed> {
        scanner.visit_members(|scanner, name| {
            let is_model = name.is("model") && scanner.peek() == Some(b'"');
            if is_model {
                self.add_model(scanner)?;
            }
            Ok(is_model)
        })
    }

    fn add_model(&mut self, scanner: &mut Scanner<'a>) -> Result<(), Malformed> {
        let model: Cow<'a, str> = model_name(scanner)?;
        if self.other_models.contains(&model) {
            return Ok(());
        }
        if self.other_models.len() == OTHER_MODELS_LIMIT {
            return Err(at(scanner, Why::TooManyModels));
        }
        self.other_models.push(model);
        Ok(())
    }
}

/// Whether a tool of this type is run by the upstream and brings what it finds into the prompt, such as
/// `web_search_20250305` (<https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview>).
fn runs_upstream(kind: &str) -> bool {
    ["web_search", "web_fetch", "code_execution", "mcp_toolset"].iter().any(|known| kind.starts_with(known))
}
