//! The rules of `tollgate import`: what must hold of the files of another gateway so that all of it comes over.

use crate::finding::rules;

rules! {
    SYNTAX = "import.syntax" "Readable" Error false
        "The file can be read, and each of its settings stands in it once. Nothing is written from a file of which a part \
         could be understood in two ways.";
    UPSTREAM = "import.upstream" "An Upstream" Error false
        "One deployment or upstream of the file is the Anthropic API, or a gateway that stands in for it.";
    ACCEPTED = "import.accepted" "An Acceptable Document" Error false
        "What came of the file is a document that `tollgate config check` accepts. Where it is not, nothing is written.";
    SECRET = "import.secret" "Secrets Are Referred To" Warning false
        "A secret in clear is not copied and not shown. The new document refers to a variable or a file instead.";
    OTHER = "import.other" "All Upstreams" Warning false
        "Tollgate has one upstream, of the form of the Anthropic API. Requests that went elsewhere have no way yet.";
    MODEL = "import.model" "Models Have Their Own Names" Warning false
        "Tollgate changes no request, so a model is asked for by the id that the API knows. An alias is for the clients \
         to give up.";
    BUDGET = "import.budget" "Budgets and Limits" Warning false
        "A budget or a limit means the same as before, or is stricter. None becomes wider by coming over.";
    KEY = "import.key" "Keys" Warning false
        "A key comes over only if it may not do more than before. Keys that were blocked or have expired stay behind.";
    NAME = "import.name" "Names" Note false
        "Names of teams and users have 1 to 64 letters, digits and `._@-`. Others are respelled.";
    FIELD = "import.field" "Settings" Warning false
        "Each setting has its counterpart. What has none is named, so that somebody decides whether it is missed.";
    REPLACED = "import.replaced" "Done in Another Way" Note false
        "What the setting is for is done in another way here, or not needed.";
}
