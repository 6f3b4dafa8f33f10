/** UpdateImage: which fields a request may change, and the record that results (manifest.md §9). */
import { ApiError, type FieldError } from '../errors';
import { rawBoolean, type RawFile, type RawImage } from '../manifest';
import { MAX_ENTRY_ERRORS } from './field-rule';
import { isObject, show, toBoolean, toNumber, type JsonObject } from './json';
import { normalizeRaw } from './serialize';
import { searchTags } from './tags';
import { invalidImage } from './validate';

/** Fields that the owner may change, or the operator. */
const FREE = [
    'owner',
    'name',
    'version',
    'description',
    'homepage',
    'eula',
    'public',
    'os',
    'acl',
    'requirements',
    'users',
    'tags',
    'generate_passwords',
    'inherited_directories',
    'nic_driver',
    'disk_driver',
    'cpu_type',
    'image_size',
    'channels',
];

/** Fields for operators only, in the order in which they are checked. */
const OPERATOR_ONLY = ['state', 'error', 'billing_tags', 'traits', 'files', 'origin', 'uuid'] as const;

/** Those of them that other images or running machines rely on once the image is activated. */
const UNACTIVATED_ONLY = new Set<string>(['files', 'origin', 'uuid']);

/** What may be changed about a file. */
const DIGESTS = ['digest', 'uncompressedDigest'] as const;

const UPDATABLE = new Set([...FREE, ...OPERATOR_ONLY]);

/**
 * The record with the changes of an UpdateImage body: null deletes a field, anything else takes the place of its
 * value. The result has yet to be validated. `current` is not changed.
 *
 * @param current a normalised record
 * @param account the `account` parameter; undefined for an operator
 * @throws ApiError ValidationFailed
 */
export function applyUpdate(
    current: RawImage,
    body: unknown,
    { account }: { account?: string | undefined },
): RawImage {
    const changes = requireChanges(body);
    const errors = [
        ...Object.keys(changes)
            .filter((field) => !UPDATABLE.has(field))
            .map((field) => notAllowed(field, `The field ${show(field)} cannot be updated.`)),
        ...OPERATOR_ONLY.filter((field) => changes[field] !== undefined).flatMap((field) =>
            operatorFieldErrors(field, changes[field], current, account),
        ),
    ];
    if (errors.length > 0) {
        throw invalidImage('The update has fields that it cannot change so', errors);
    }
    return merge(current, changes);
}

function requireChanges(body: unknown): JsonObject {
    if (typeof body !== 'object' || body === null) {
        throw new ApiError(
            'ValidationFailed',
            'The request needs the fields to update as its body: a JSON object, with content-type application/json.',
            { errors: [{ field: 'body', code: 'MissingParameter' }] },
        );
    }
    // An array is an object whose fields are numbers, none of which can be updated.
    const changes: JsonObject = { ...body };
    if (Object.keys(changes).length === 0) {
        throw new ApiError('ValidationFailed', 'The update names no field to change.', { errors: [] });
    }
    return changes;
}

function notAllowed(field: string, message: string): FieldError {
    return { field, code: 'NotAllowed', message };
}

/** Why this caller can't change the operator's field of this image so; empty if it can. */
function operatorFieldErrors(
    field: (typeof OPERATOR_ONLY)[number],
    value: unknown,
    current: RawImage,
    account: string | undefined,
): FieldError[] {
    if (account !== undefined) {
        return [notAllowed(field, `Only an operator can update "${field}": leave it or the account out.`)];
    }
    if (UNACTIVATED_ONLY.has(field) && rawBoolean(current.activated)) {
        return [notAllowed(field, `"${field}" can be updated only as long as the image is not activated.`)];
    }
    return field === 'files' ? filesErrors(value, current.files?.[0]) : [];
}

/** Why the value can't be an update of `files`: only its first element counts, and of that only the digests. */
function filesErrors(value: unknown, stored: RawFile | undefined): FieldError[] {
    const file: unknown = Array.isArray(value) ? value[0] : undefined;
    if (!isObject(file)) {
        return [
            invalidFiles(`The value ${show(value)} is not an array of one file with the digests to set.`),
        ];
    }
    if (!stored) {
        return [invalidFiles('The image has no file yet, whose digests could be set.')];
    }
    const kept = new Map<string, unknown>(Object.entries(stored));
    const isDigest = (key: string) => DIGESTS.some((digest) => digest === key);
    const changed = Object.keys(file).filter((key) => !isDigest(key) && file[key] !== kept.get(key));
    if (changed.length > 0) {
        return changed
            .slice(0, MAX_ENTRY_ERRORS)
            .map((key) =>
                notAllowed(
                    'files',
                    `Of a file only "digest" and "uncompressedDigest" can be updated; ${show(key)} differs.`,
                ),
            );
    }
    return DIGESTS.filter((digest) => file[digest] && typeof file[digest] !== 'string').map((digest) =>
        invalidFiles(`The ${digest} ${show(file[digest])} of the file is not a string.`),
    );
}

function invalidFiles(message: string): FieldError {
    return { field: 'files', code: 'Invalid', message };
}

/** A map, because fields are deleted; and only of fields known to be updatable, so that no internal one is set. */
function merge(current: RawImage, changes: JsonObject): RawImage {
    const next = new Map<string, unknown>(Object.entries(current));
    for (const [field, value] of Object.entries(changes)) {
        if (field === 'files') {
            next.set('files', withDigests(current.files ?? [], value));
        } else if (value === null) {
            next.delete(field);
            if (field === 'tags') {
                next.delete('tagsObj');
            }
        } else if (field === 'tags') {
            next.set('tags', searchTags(value));
            next.set('tagsObj', value);
        } else {
            next.set(field, storedValue(field, value));
        }
    }
    return normalizeRaw(Object.fromEntries(next) as RawImage);
}

function withDigests([first, ...others]: readonly RawFile[], value: unknown): RawFile[] {
    const given: unknown = Array.isArray(value) ? value[0] : undefined;
    if (!first || !isObject(given)) {
        return first ? [first, ...others] : [];
    }
    const digests = DIGESTS.filter((digest) => given[digest]).map((digest) => [digest, given[digest]]);
    return [{ ...first, ...(Object.fromEntries(digests) as Pick<RawFile, 'digest'>) }, ...others];
}

/** The value in the type in which CreateImage stores it; what has none stays as it is, for the validator to name. */
function storedValue(field: string, value: unknown): unknown {
    if (field === 'public' || field === 'generate_passwords') {
        return toBoolean(value) ?? value;
    }
    if (field === 'image_size' && typeof value === 'string') {
        const size = toNumber(value);
        return Number.isNaN(size) ? value : size;
    }
    return value;
}
