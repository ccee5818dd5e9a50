export { macAddressSchema, observationSchema, type Observation } from './observation.ts'
