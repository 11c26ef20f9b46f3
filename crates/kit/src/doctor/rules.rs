//! The rules of `tollgate doctor`: what must hold between a client and a gateway, in the order in which it is reported.

use crate::finding::rules;

rules! {
    URL = "line.url" "URL" Error false
        "The URL is the one that clients get as `ANTHROPIC_BASE_URL`: they put `/v1/messages` behind it, so it does \
         not end in `/v1`.";
    PLAIN = "line.plain" "Encryption" Warning false
        "The URL begins with https://, unless it names this machine: a credential is sent with every request.";
    NAME = "line.name" "Name" Error true
        "The host of the URL, or of the proxy on the way to it, has an address.";
    PORT = "line.port" "Port" Error true
        "The port of the URL, or of the proxy, takes a connection.";
    PROXY = "line.proxy" "Proxy" Error true
        "The proxy that the environment names opens a tunnel to the gateway.";
    TLS = "line.tls" "TLS" Error true
        "TLS 1.2 or later is agreed on, and the certificate of the gateway is one that this machine trusts.";
    EXPIRY = "line.expiry" "Certificate Expiry" Warning false
        "No certificate of the chain expires within 21 days.";
    KEY = "line.key" "Certificate Key" Warning false
        "The gateway's key is RSA of 2048 bits or more, or one on an elliptic curve.";
    HTTP = "line.http" "HTTP" Error true
        "What listens there speaks HTTP/1.1 and answers in time.";
    CLOCK = "line.clock" "Clock" Warning false
        "The clocks of this machine and of the gateway differ by less than a minute: tokens and certificates are \
         judged by them.";

    ENDPOINT = "access.endpoint" "Endpoint" Error true
        "`POST /v1/messages` is there: it is not answered like a path that does not exist.";
    TOKEN = "token.shape" "Token" Error false
        "The credential looks like one that a gateway gave out: no provider's key, no prefix pasted along, whole.";
    JWT_TIME = "token.time" "Token Time" Error false
        "A token with a time to it (a JWT) is good now: `exp` is ahead and `nbf` is not, and they and `iat` are numbers of \
         seconds (RFC 7519, sections 2 and 4.1).";
    JWT_LIFE = "token.life" "Token Lifetime" Warning false
        "A token with an end is good for more than ten minutes still, or is renewed by an `apiKeyHelper`.";
    JWT_AUDIENCE = "token.audience" "Token Audience" Error false
        "`aud` of the token names the gateway, as far as --audience says what that is.";
    JWT_ISSUER = "token.issuer" "Token Issuer" Error false
        "`iss` of the token is the issuer that --issuer names, and that issuer publishes its keys under the same name \
         (OpenID Connect Discovery 1.0, section 4.3).";
    JWT_SIGNATURE = "token.signature" "Token Signature" Error false
        "The signature of the token is by a key that its issuer publishes (RFC 7515, section 5.2).";
    CREDENTIAL = "access.credential" "Credential" Error true
        "The gateway knows the credential, and the provider takes the one that the gateway presents.";
    ROUTE = "access.upstream" "Behind The Gateway" Error false
        "A request that the gateway accepts is carried to the provider and answered.";
    BEARER = "access.bearer" "Authorization: Bearer" Warning false
        "The credential is taken as `Authorization: Bearer`, where `ANTHROPIC_AUTH_TOKEN` goes.";
    API_KEY = "access.api_key" "x-api-key" Warning false
        "The credential is taken as `x-api-key`, where `ANTHROPIC_API_KEY` goes, and an `apiKeyHelper` when models are \
         listed.";
    BOTH = "access.both" "Both Headers" Warning false
        "The credential is taken when it stands in both headers, where an `apiKeyHelper` puts it.";
    REFUSAL = "access.refused" "Refusal" Error false
        "A request without a credential, and one with a made-up credential, is refused with 401 or 403.";

    SETTINGS = "client.settings" "Settings" Error false
        "Each settings file of Claude Code is JSON without comments, with values of the kinds that it wants. A file that \
         is not is left out as a whole.";
    BASE_URL = "client.base_url" "Base URL" Error true
        "`ANTHROPIC_BASE_URL` is set, is a URL, and does not end in `/v1`.";
    PROVIDER = "client.provider" "Provider Switch" Error false
        "No `CLAUDE_CODE_USE_*` sends requests to a cloud's endpoint past `ANTHROPIC_BASE_URL`.";
    SHADOWED = "client.shadowed" "Shadowed" Note false
        "What is set in several places has the same value in each. The `env` of a settings file wins over the shell; \
         of the files wins managed, then --settings, local, project, user.";
    CLIENT_CREDENTIAL = "client.credential" "Credential" Error true
        "One credential reaches the gateway: `ANTHROPIC_AUTH_TOKEN`, `ANTHROPIC_API_KEY` or `apiKeyHelper`, and it is \
         whole.";
    CONFLICT = "client.conflict" "One Credential" Warning false
        "Only one credential is set. Claude Code sends `ANTHROPIC_AUTH_TOKEN` and `ANTHROPIC_API_KEY` side by side, \
         and an `apiKeyHelper` in every header that they leave free.";
    HELPER = "client.helper" "apiKeyHelper" Error false
        "The `apiKeyHelper` ends within 10 s, leaves nobody behind who could still print, and prints the credential, one \
         line of visible ASCII, alone.";
    EXPOSED = "client.exposed" "Secrets In Files" Error false
        "No credential stands in a file that is committed, and nobody but its owner reads a file with one.";
    AUTHORITY = "client.ca" "Certificate Authorities" Error false
        "`NODE_EXTRA_CA_CERTS` names a file of certificates in PEM that are good now.";
    CERTIFICATE = "client.certificate" "Client Certificate" Error false
        "`CLAUDE_CODE_CLIENT_CERT` and `CLAUDE_CODE_CLIENT_KEY` are set both or neither, can be read, are good now \
         and belong together.";
    HEADERS = "client.headers" "Custom Headers" Warning false
        "`ANTHROPIC_CUSTOM_HEADERS` holds lines of `Name: value`, none of which Claude Code sets itself.";
    MODEL = "client.model" "Models" Error false
        "No variable and no setting names a model that was retired.";
    LOGIN = "client.login" "Forced Login" Error false
        "No managed setting demands a login at the provider, which keeps Claude Code from using a gateway's \
         credential.";

    PROXY_NAMED = "proxy.named" "Proxy Variables" Error false
        "The variables that name a proxy can be read: http://[USER:PASSWORD@]HOST:PORT. Claude Code knows no SOCKS.";
    PROXY_AGREE = "proxy.agree" "Spelling" Warning false
        "A variable that is set in lower and in upper case has one value, and none is set that Claude Code does not \
         read: programs differ in which they do.";
    PROXY_EXEMPT = "proxy.exempt" "NO_PROXY" Note false
        "`NO_PROXY` says whether the gateway is reached directly.";
    PROXY_TUNNEL = "proxy.tunnel" "Tunnel" Error true
        "The proxy can be reached, takes the credential in its URL, and opens a tunnel (CONNECT) to the gateway.";
    PROXY_INSPECTION = "proxy.inspection" "TLS Inspection" Warning false
        "The certificate that comes through the proxy is the gateway's own, not one that the proxy made.";
    PROXY_GATEWAY = "proxy.gateway" "Gateway Through Proxy" Error true
        "A request through the proxy is answered by the gateway.";
}
