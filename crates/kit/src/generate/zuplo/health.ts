// Clients warm their connection up with it, and load balancers ask for it. The API is not asked.
export default async function () {
  return new Response('{"status":"ok"}', { headers: { "content-type": "application/json" } });
}
