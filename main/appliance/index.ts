export { createLocalApiClient, type LocalApiClient } from './local-api-client.ts'
export type * from './local-api-schemas.ts'
