// Made by `tollgate generate`, for Zuplo 7.
//
// Notice: Zuplo is a third-party gateway. Anthropic neither makes nor supports it, and does not
// promise that it works with Claude Code, now or after a release of either. For help, turn to those
// who make it: https://zuplo.com/support. Review its terms on security and privacy before prompts pass
// through it. None of this is needed to use the Claude API directly.
//
// What Zuplo does not do here:
// - The 400000 tokens a minute are not enforced: it does not read answers.
// - The burst of 20 is not kept: its limit is a window of a minute that slides.
// - The 600 s of silence are not set here: on the free and builder plans a request ends after 30 s,
//   which breaks answers; the others have no such limit.
// - Its own errors are problem details (RFC 9457), not the API's envelope: members see them less well.
// - It adds a header zp-rid, and takes bodies up to 500 MB.
// - Headers are named one by one: others that begin with x-forwarded-, cf- or x-tollgate- pass.
// - An answer that the API breaks off ends for the client as if it were whole, and where a client
//   leaves, the API goes on: so does its own server for development (7.4.5).
// - It keeps no account of tokens or cost.

import { ZuploContext, ZuploRequest } from "@zuplo/runtime";

// Clients present their credential as a bearer token, as x-api-key, or as both; the policy that follows looks for a
// bearer token only. The body passes as it is.
export default async function (request: ZuploRequest, _context: ZuploContext) {
  const key = request.headers.get("x-api-key");
  if (key === null || request.headers.has("authorization")) {
    return request;
  }
  const headers = new Headers(request.headers);
  headers.set("authorization", `Bearer ${key}`);
  return new ZuploRequest(request, { headers });
}
