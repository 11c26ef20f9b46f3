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
