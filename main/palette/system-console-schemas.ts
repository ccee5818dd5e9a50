import { z } from 'zod'

/* Answers of the system console's API (palette.md §7.5), read tolerantly: see local-api-schemas.ts. */

const text = z
  .string()
  .nullish()
  .transform((value) => value ?? undefined)

const boolean = z
  .boolean()
  .nullish()
  .transform((value) => value ?? undefined)

/**
 * `POST /v1/auth/syslogin`. Not in the API description; the vendor's prose names the fields, whose case is not
 * certain.
 */
export const systemLoginSchema = z
  .record(z.string(), z.unknown())
  .transform((fields) => new Map(Object.entries(fields).map(([name, value]) => [name.toLowerCase(), value])))
  .transform((fields) => ({
    authorization: z.string().min(1).optional().catch(undefined).parse(fields.get('authorization')),
    isPasswordReset: z.boolean().optional().catch(undefined).parse(fields.get('ispasswordreset')),
    isEmailSet: z.boolean().optional().catch(undefined).parse(fields.get('isemailset')),
    isMfa: z.boolean().optional().catch(undefined).parse(fields.get('ismfa')),
  }))

/** `GET /v1/system/users/me` */
export const systemUserSchema = z.object({
  spec: z
    .object({ adminType: text, emailId: text })
    .nullish()
    .transform((value) => value ?? undefined),
  status: z
    .object({
      isEmailSet: boolean,
      isEmailVerified: boolean,
      isMfaEnabled: boolean,
      /** True once the first password was replaced. */
      isPasswordReset: boolean,
      lastLoginTime: text,
    })
    .nullish()
    .transform((value) => value ?? undefined),
})

/** `GET /v1/system/version/installed` */
export const installedVersionSchema = z.object({ version: text })

/** `GET /v1/registries/oci/{uid}/basic/sync/status`, and within the summary. */
export const registrySyncSchema = z.object({
  status: text,
  message: text,
  isSyncSupported: boolean,
  lastRunTime: text,
  lastSyncedTime: text,
})

/** `GET /v1/registries/oci/summary` */
export const ociRegistriesSchema = z.object({
  items: z
    .array(
      z
        .object({
          metadata: z.object({ uid: z.string().min(1), name: text }),
          spec: z
            .object({ endpoint: text, providerType: text, registryType: text, scope: text })
            .nullish()
            .transform((value) => value ?? undefined),
          status: z
            .object({ sync: registrySyncSchema.nullish().transform((value) => value ?? undefined) })
            .nullish()
            .transform((value) => value ?? undefined),
        })
        .nullable(),
    )
    .nullish()
    .transform((items) => (items ?? []).filter((item) => item !== null)),
})

export type SystemUser = z.output<typeof systemUserSchema>
export type OciRegistry = z.output<typeof ociRegistriesSchema>['items'][number]
export type RegistrySync = z.output<typeof registrySyncSchema>
