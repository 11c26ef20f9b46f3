"""Runs steps with the Python SDK and prints what came of each, as JSON.

The steps are a JSON list in the first argument: {"do": NAME, "prompt": TEXT, ...}. Base URL and credential come from
the environment, as for anybody who uses the SDK. sdk.mjs does the same steps and prints the same.
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import anthropic

MODEL = "claude-opus-5-5"
TOOL = {
    "name": "weather",
    "description": "The weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}


def main():
    print(json.dumps([run(step) for step in json.loads(sys.argv[1])]))


def run(step):
    options = {"api_key": step["key"]} if "key" in step else {}
    if "session" in step:
        options["default_headers"] = {"x-claude-code-session-id": step["session"]}
    client = anthropic.Anthropic(max_retries=step.get("retries", 0), **options)
    try:
        return STEPS[step["do"]](client, step)
    except anthropic.APIStatusError as error:
        return {
            "error": type(error).__name__,
            "status": error.status_code,
            "request_id": error.request_id,
            "type": error.type,
            "text": error.message,
            "retry_after": error.response.headers.get("retry-after"),
        }
    except Exception as error:
        return {"error": type(error).__name__, "text": f"{error} {error.__cause__ or ''}"}


def asked(step):
    return {
        "model": step.get("model", MODEL),
        "max_tokens": 4096,
        "messages": [{"role": "user", "content": step.get("prompt", "Hello")}],
    }


def told(message, request_id):
    return {
        "text": "".join(block.text for block in message.content if block.type == "text"),
        "model": message.model,
        "stop_reason": message.stop_reason,
        "input_tokens": message.usage.input_tokens,
        "output_tokens": message.usage.output_tokens,
        "request_id": request_id,
    }


def message(client, step):
    answer = client.messages.create(**asked(step))
    return told(answer, answer._request_id)


def parallel(client, step):
    with ThreadPoolExecutor() as threads:
        answers = list(threads.map(lambda _: client.messages.create(**asked(step)), range(2)))
    return {"texts": [told(answer, None)["text"] for answer in answers]}


def stream(client, step):
    with client.messages.stream(**asked(step)) as events:
        pieces = list(events.text_stream)
        return {"pieces": len(pieces), "joined": "".join(pieces), **told(events.get_final_message(), events.request_id)}


def leave(client, step):
    with client.messages.stream(**asked(step)) as events:
        return {"joined": "".join(islice(events.text_stream, 3))}


def tools(client, step):
    question = {**asked(step), "tools": [TOOL]}
    with client.messages.stream(**question) as events:
        first = events.get_final_message()
    calls = [block for block in first.content if block.type == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": "7 degrees"} for call in calls]
    question["messages"] += [{"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
    second = client.messages.create(**question)
    return {
        "stop_reason": first.stop_reason,
        "calls": [{"name": call.name, "input": call.input} for call in calls],
        "answer": told(second, second._request_id),
    }


def count(client, step):
    question = asked(step)
    del question["max_tokens"]
    return {"input_tokens": client.messages.count_tokens(**question).input_tokens}


def models(client, step):
    return {"ids": [model.id for model in client.models.list(limit=5)]}


def model(client, step):
    return {"id": client.models.retrieve(step["model"]).id}


STEPS = {
    "message": message,
    "parallel": parallel,
    "stream": stream,
    "leave": leave,
    "tools": tools,
    "count": count,
    "models": models,
    "model": model,
}

main()
