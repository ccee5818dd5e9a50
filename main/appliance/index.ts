export type { ContentUpload } from './content-upload.ts'
export {
  createLocalApiClient,
  type LocalApiClient,
  type LocalApiClientOptions,
  type Supported,
} from './local-api-client.ts'
export type * from './local-api-schemas.ts'
