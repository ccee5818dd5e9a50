export { CheckSession } from './check-session.ts'
export { namedOnlyIds, siteStages } from './site-stages.ts'
export type { SiteMeasurement } from '../phases/measure-site.ts'
