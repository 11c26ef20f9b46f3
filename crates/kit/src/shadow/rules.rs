//! The rules of `tollgate shadow`: what must be the same of two gateways that get the same requests.

use crate::finding::rules;

rules! {
    STATUS = "shadow.status" "Same Status" Error true
        "A request is answered with the same status by both. What both refuse is alike, and named; if that is every message, \
         nothing was compared, and it can not be told.";
    TYPE = "shadow.type" "Same Content Type" Error false
        "An answer has the same media type. Clients tell streams, messages and pages of HTML apart by it.";
    ERROR = "shadow.error" "Same Errors" Error false
        "An error comes in the API's envelope with the same `error.type`, or in none on either side. Clients decide by it \
         whether to try again.";
    MESSAGE = "shadow.message" "Same Error Messages" Warning false
        "Where both errors carry the provider's `request_id`, their sentences are the same.";
    HEADERS = "shadow.headers" "Headers That Clients Obey" Error false
        "`request-id`, `retry-after`, `retry-after-ms`, `x-should-retry` and `anthropic-ratelimit-*` are there if the old \
         gateway has them. Their values are not compared.";
    OTHERS = "shadow.others" "Other Headers" Note false
        "Both send the same other headers. Each gateway has its own; look whether somebody reads one that goes away.";
    END = "shadow.end" "Same End" Error false
        "A body ends as it does on the other side: whole, or broken off. An answer that breaks off must not look whole.";
    EVENTS = "shadow.events" "Same Events" Error false
        "A stream has the same types of events in the same order, pings and repetitions left out.";
    ANSWER = "shadow.answer" "Same Form of Answers" Error true
        "The JSON of an answer, and of each event of a stream, has the same fields down to the last level. What a model \
         chooses is left out: values, the input of tools, and kinds of blocks that one side alone has.";
    STOP = "shadow.stop" "Same Stop Reason" Warning false
        "`stop_reason` is the same. The built-in requests leave a model no choice; to your own, it may come by chance.";
    MODEL = "shadow.model" "Same Model" Warning false
        "An answer names the same model. A gateway may spell one in its own way; another model answers otherwise, at \
         another price.";
    TOKENS = "shadow.tokens" "Same Input" Error false
        "The provider counts the same input tokens, cached ones included: nothing is added to a prompt or taken from it.";
    MODELS = "shadow.models" "Same Models" Error false
        "Both list the same models.";
    ARRIVAL = "shadow.arrival" "Streams Come in Time" Error false
        "A stream that comes piece by piece from the old gateway does so from the new one.";
    TIME = "shadow.time" "Time to the First Byte" Note false
        "The medians of both, to look at. Never a verdict: providers differ more from one moment to the next.";
}
