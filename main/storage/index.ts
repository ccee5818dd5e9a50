export { openIdentityStore, type Identity, type IdentityStore } from './identity-store.ts'
export { memoryIdentityStore } from './memory-identity-store.ts'
