/** Reads version 1 manifests, the "dsmanifests" of old, as version 2 (manifest.md §8). */
import { isUuid } from '../manifest';
import { isObject, toNumber, type JsonObject } from './json';

/** Fields of version 1 that version 2 has not. */
const DROPPED = new Set([
    'creator_uuid',
    'vendor_uuid',
    'creator_name',
    'cloud_name',
    'creator_admin',
    'owner_uuid',
    'platform_type',
    'created_at',
    'updated_at',
    '_url',
    'restricted_to_uuid',
]);

const TO_THE_MINUTE = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2})Z$/;

/**
 * The version 2 form of a version 1 manifest. Anything else is given back as it is, also a version 1 manifest that
 * lacks what an upgrade needs: the validator then tells what is wrong with it.
 *
 * For an import, upgrade before the owner is looked at: the owner of a version 1 manifest is its creator.
 */
export function upgradeManifest(manifest: JsonObject): JsonObject {
    return isUpgradable(manifest) ? upgrade(manifest) : manifest;
}

function isUpgradable({ v, uuid, creator_uuid: creator, owner }: JsonObject): boolean {
    const isVersion1 = v === undefined || toNumber(v) === 1;
    return isVersion1 && isUuid(uuid) && Boolean(creator) && owner === undefined;
}

function upgrade(manifest: JsonObject): JsonObject {
    const { created_at: createdAt, published_at: publishedAt = createdAt } = manifest;
    const disabled = Boolean(manifest.disabled);
    const kept = Object.entries(manifest).filter(([key]) => !DROPPED.has(key));
    return {
        ...Object.fromEntries(kept),
        v: 2,
        owner: manifest.creator_uuid,
        ...upgradeVisibility(manifest),
        disabled,
        state: disabled ? 'disabled' : 'active',
        ...(publishedAt !== undefined && { published_at: withSeconds(publishedAt) }),
        ...(Array.isArray(manifest.files) && { files: manifest.files.map(upgradeFile) }),
        ...(manifest.image_size ? { image_size: toNumber(manifest.image_size) } : {}),
    };
}

/** An image restricted to one account was private to it. What the manifest itself says about `public` is kept. */
function upgradeVisibility({ public: isPublic, restricted_to_uuid: account }: JsonObject): JsonObject {
    if (isPublic !== undefined) {
        return {};
    }
    return account ? { public: false, acl: [account] } : { public: true };
}

function withSeconds(date: unknown): unknown {
    return typeof date === 'string' ? date.replace(TO_THE_MINUTE, '$1:00Z') : date;
}

function upgradeFile(file: unknown): unknown {
    if (!isObject(file)) {
        return file;
    }
    const { path, url, ...kept } = file;
    return { compression: compressionOf(path ?? url), ...kept };
}

function compressionOf(name: unknown): string {
    const ending = typeof name === 'string' ? name.slice(name.lastIndexOf('.')) : '';
    return ending === '.gz' ? 'gzip' : ending === '.bz2' ? 'bzip2' : 'none';
}
