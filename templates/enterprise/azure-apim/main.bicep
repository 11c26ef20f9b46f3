// Made by `tollgate generate`, for Azure API Management with API version 2024-05-01.
//
// Notice: Azure API Management is a third-party gateway. Anthropic neither makes nor supports it, and
// does not promise that it works with Claude Code, now or after a release of either. For help, turn to
// those who make it: https://azure.microsoft.com/support. Review its terms on security and privacy
// before prompts pass through it. None of this is needed to use the Claude API directly.
//
// What Azure API Management does not do here:
// - The 400000 tokens a minute are not enforced: it does not read answers.
// - The burst of 20 is not kept: its limit is a window of a minute.
// - A connection that is silent for 240 s is closed by the network before it, whatever the policy
//   says: the 600 s asked for are not kept. The API's pings hold a stream open; an answer without a
//   stream may end early.
// - The Consumption tier neither streams nor has this limit: take another.
// - Each region and each self-hosted gateway counts for itself, and may let somewhat more pass.
// - Requests in two headers of the same name, and sizes that are no number, are errors of the policy
//   (500).
// - No Azure was at hand to run this: the files are checked for their form. Prove them by `tollgate
//   check`.
// - Headers are named one by one: others that begin with x-forwarded-, cf- or x-tollgate- pass.

@description('The API Management service, which exists. Not of the Consumption tier, which does not stream.')
param serviceName string

@description('The key vault that holds the secrets, as https://NAME.vault.azure.net. The service may read it by its managed identity.')
param keyVaultUri string

resource service 'Microsoft.ApiManagement/service@2024-05-01' existing = {
  name: serviceName
}

// A secret is referred to here, and read by the service itself.
var secrets = [
  'anthropic-api-key'
  'gateway-key-team'
]

resource namedValues 'Microsoft.ApiManagement/service/namedValues@2024-05-01' = [for secret in secrets: {
  parent: service
  name: secret
  properties: {
    displayName: secret
    secret: true
    keyVault: { secretIdentifier: '${keyVaultUri}/secrets/${secret}' }
  }
}]

resource api 'Microsoft.ApiManagement/service/apis@2024-05-01' = {
  parent: service
  name: 'claude-gateway'
  properties: {
    displayName: 'claude-gateway'
    path: ''
    protocols: ['https']
    serviceUrl: 'https://api.anthropic.com'
    // The policy looks at credentials itself: a subscription would see one header only.
    subscriptionRequired: false
  }
}

var operations = [
  { name: 'messages', method: 'POST', template: '/v1/messages' }
  { name: 'count-tokens', method: 'POST', template: '/v1/messages/count_tokens' }
  { name: 'models', method: 'GET', template: '/v1/models' }
  { name: 'model', method: 'GET', template: '/v1/models/{model}' }
  { name: 'hello', method: 'HEAD', template: '/api/hello' }
  { name: 'health', method: 'GET', template: '/health' }
]

resource operation 'Microsoft.ApiManagement/service/apis/operations@2024-05-01' = [for one in operations: {
  parent: api
  name: one.name
  properties: {
    displayName: one.name
    method: one.method
    urlTemplate: one.template
    templateParameters: one.name == 'model' ? [{ name: 'model', type: 'string', required: true }] : []
  }
}]

resource policy 'Microsoft.ApiManagement/service/apis/policies@2024-05-01' = {
  parent: api
  name: 'policy'
  properties: {
    format: 'xml'
    value: loadTextContent('policy.xml')
  }
  // The policy names the values.
  dependsOn: [namedValues, operation]
}
