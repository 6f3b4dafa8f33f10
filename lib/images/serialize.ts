/** From the raw record to the manifest that is served (manifest.md §3 and §5). */
import { createHash } from 'node:crypto';
import type { Mode } from '../config/types';
import { PLACEHOLDER_VALUE, rawBoolean, type RawFile, type RawImage } from '../manifest';
import { toNumber } from './json';
import { tagsFromSearch } from './tags';

/** Which of the served forms is meant. */
export interface ServedForm {
    readonly mode: Mode;
    /** Whether the request's Accept-Version covers version 2, which has `channels`. */
    readonly channels: boolean;
    /** Whether to show what only operators see: `files[].stor`. */
    readonly adminFields: boolean;
}

/** A manifest as bytes. */
export interface Rendered {
    /** sha1 in hex of the compact form. */
    readonly etag: string;
    /** JSON, indented by two spaces. */
    readonly body: Buffer;
    /** The same JSON without any white space. */
    readonly compact: string;
}

/**
 * The record with `acl` as an array (by default empty), `billing_tags` as an array and, where only the search form
 * of the tags was stored, the tags rebuilt. Gives the record itself if there is nothing to do; never changes it.
 *
 * Booleans stored as strings stay as they are: read them with `rawBoolean`.
 */
export function normalizeRaw(raw: RawImage): RawImage {
    // Old records have other types than the interface tells.
    const acl: unknown = raw.acl;
    const billingTags: unknown = raw.billing_tags;
    const changes: Partial<RawImage> = {
        ...(acl === undefined && { acl: [] }),
        ...(typeof acl === 'string' && { acl: [acl] }),
        ...(typeof billingTags === 'string' && { billing_tags: [billingTags] }),
        ...(raw.tagsObj === undefined && Array.isArray(raw.tags) && { tagsObj: tagsFromSearch(raw.tags) }),
    };
    return Object.keys(changes).length === 0 ? raw : { ...raw, ...changes };
}

/**
 * The manifest as served, for a record that is normalised and valid. The order of its keys is part of the contract:
 * the ETag is made of it.
 */
export function serializeImage(raw: RawImage, form: ServedForm): Record<string, unknown> {
    const operatorData = form.mode !== 'public';
    return {
        v: toNumber(raw.v),
        uuid: raw.uuid,
        owner: raw.owner,
        name: raw.name,
        version: raw.version,
        state: raw.state,
        disabled: rawBoolean(raw.disabled),
        public: rawBoolean(raw.public),
        ...ifTruthy('published_at', raw.published_at),
        ...(raw.type !== PLACEHOLDER_VALUE && { type: raw.type }),
        ...(raw.os !== PLACEHOLDER_VALUE && { os: raw.os }),
        files: (raw.files ?? []).map((file) => serializeFile(file, form)),
        ...(raw.acl?.length && { acl: raw.acl }),
        ...ifTruthy('description', raw.description),
        ...ifTruthy('homepage', raw.homepage),
        ...ifTruthy('eula', raw.eula),
        ...(raw.icon && { icon: true }),
        ...ifTruthy('urn', raw.urn),
        ...ifTruthy('requirements', raw.requirements),
        ...ifTruthy('users', raw.users),
        ...(raw.generate_passwords !== undefined && {
            generate_passwords: rawBoolean(raw.generate_passwords),
        }),
        ...ifTruthy('inherited_directories', raw.inherited_directories),
        ...ifTruthy('origin', raw.origin),
        ...ifTruthy('nic_driver', raw.nic_driver),
        ...ifTruthy('disk_driver', raw.disk_driver),
        ...ifTruthy('cpu_type', raw.cpu_type),
        ...ifTruthy('image_size', raw.image_size),
        ...ifTruthy('tags', raw.tagsObj),
        ...(operatorData && raw.billing_tags?.length && { billing_tags: raw.billing_tags }),
        ...(operatorData && Object.keys(raw.traits ?? {}).length > 0 && { traits: raw.traits }),
        ...(raw.state === 'failed' && ifTruthy('error', raw.error)),
        ...(form.channels && ifTruthy('channels', raw.channels)),
    };
}

/** The manifest as bytes; see {@link serializeImage}. */
export function renderImage(raw: RawImage, form: ServedForm): Rendered {
    const served = serializeImage(raw, form);
    const compact = JSON.stringify(served);
    return {
        etag: createHash('sha1').update(compact).digest('hex'),
        body: Buffer.from(JSON.stringify(served, null, 2)),
        compact,
    };
}

function serializeFile(file: RawFile, { adminFields }: ServedForm): Record<string, unknown> {
    return {
        sha1: file.sha1,
        size: file.size,
        compression: file.compression,
        ...(file.dataset_guid !== undefined && { dataset_guid: file.dataset_guid }),
        ...(adminFields && { stor: file.stor }),
    };
}

function ifTruthy(key: string, value: unknown): Record<string, unknown> {
    return value ? { [key]: value } : {};
}
