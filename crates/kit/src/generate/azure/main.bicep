@description('The API Management service, which exists. Not of the Consumption tier, which does not stream.')
param serviceName string

@description('The key vault that holds the secrets, as https://NAME.vault.azure.net. The service may read it by its managed identity.')
param keyVaultUri string

resource service 'Microsoft.ApiManagement/service@2024-05-01' existing = {
  name: serviceName
}

// A secret is referred to here, and read by the service itself.
var secrets = [
  {{secrets}}
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
  name: '{{name}}'
  properties: {
    displayName: '{{name}}'
    path: ''
    protocols: ['https']
    serviceUrl: '{{upstream}}'
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
