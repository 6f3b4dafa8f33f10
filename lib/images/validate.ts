/**
 * Whether a raw record is a valid image, and what is wrong with it if not (manifest.md §2).
 *
 * The same rules hold for what clients send and for what the database has: an invalid stored record is not served.
 */
import type { Mode } from '../config/types';
import { ApiError, type FieldError } from '../errors';
import { rawBoolean } from '../manifest';
import * as content from './content-rules';
import * as description from './description-rules';
import { anything, booleanRule, uuidRule, type Rule, type RuleContext } from './field-rule';
import { isNestedDeeper, MAX_DEPTH, type JsonObject } from './json';
import { validateRequirements } from './requirements';

/** What of the configuration decides which images are valid. */
export interface ImageRules {
    readonly mode: Mode;
    /** Names of the configured channels; undefined on a server without channels. */
    readonly channels?: readonly string[] | undefined;
}

/** The rules one image is held to. */
export interface Profile {
    readonly mode: Mode;
    /** Whether the server has channels. */
    readonly channels: boolean;
    /** Which fields the image must have. */
    readonly required: 'full' | 'minimal';
}

/** Why an image must have the field; undefined if this one need not. Only asked for fields of the profile. */
type Requirement = (context: RuleContext) => string | undefined;

interface FieldRow {
    readonly field: string;
    readonly rule: Rule;
    readonly required?: Requirement;
}

const always: Requirement = () => 'every image must have it';
const ifActivated: Requirement = ({ activated }) =>
    activated ? 'an activated image must have it' : undefined;
const ifZvol: Requirement = (context) =>
    content.isZvol(context) ? 'an image of type zvol must have it' : undefined;
const ifChannels: Requirement = ({ channels }) =>
    channels ? 'on a server with channels every image must have it' : undefined;

/** Every field, in schema order (manifest.md §2.1): optional fields are reported in this order. */
const FIELDS: readonly FieldRow[] = [
    { field: 'v', rule: description.versionNumberRule, required: always },
    { field: 'uuid', rule: uuidRule, required: always },
    { field: 'urn', rule: description.urnRule },
    { field: 'owner', rule: uuidRule, required: always },
    { field: 'name', rule: description.nameRule, required: always },
    { field: 'version', rule: description.versionRule, required: always },
    { field: 'description', rule: description.descriptionRule },
    { field: 'homepage', rule: description.urlRule },
    { field: 'eula', rule: description.urlRule },
    { field: 'disabled', rule: booleanRule, required: always },
    { field: 'activated', rule: booleanRule, required: always },
    { field: 'published_at', rule: description.publishedAtRule, required: ifActivated },
    { field: 'state', rule: description.stateRule, required: always },
    { field: 'public', rule: description.publicRule, required: always },
    { field: 'type', rule: content.typeRule, required: always },
    { field: 'os', rule: content.osRule, required: always },
    { field: 'origin', rule: uuidRule },
    { field: 'error', rule: description.errorRule },
    { field: 'files', rule: content.filesRule, required: ifActivated },
    // Looked at before all others, by `storedFormErrors`.
    { field: 'icon', rule: anything },
    { field: 'acl', rule: description.aclRule },
    { field: 'requirements', rule: validateRequirements },
    { field: 'users', rule: content.usersRule },
    { field: 'billing_tags', rule: description.billingTagsRule },
    { field: 'traits', rule: description.traitsRule },
    { field: 'tags', rule: description.tagsRule },
    { field: 'generate_passwords', rule: booleanRule },
    { field: 'inherited_directories', rule: content.inheritedDirectoriesRule },
    { field: 'nic_driver', rule: content.driverRule, required: ifZvol },
    { field: 'disk_driver', rule: content.driverRule, required: ifZvol },
    { field: 'cpu_type', rule: content.driverRule, required: ifZvol },
    { field: 'image_size', rule: content.imageSizeRule, required: ifZvol },
    { field: 'channels', rule: description.channelsRule, required: ifChannels },
];

/** The fields a profile may require, in the order in which they are reported: before all others. */
const REQUIRED: Readonly<Record<Profile['required'], readonly string[]>> = {
    full: [
        'v',
        'uuid',
        'owner',
        'name',
        'version',
        'disabled',
        'activated',
        'published_at',
        'public',
        'state',
        'type',
        'os',
        'files',
        'nic_driver',
        'disk_driver',
        'cpu_type',
        'image_size',
        'channels',
    ],
    minimal: ['v', 'uuid', 'name', 'version', 'type', 'os'],
};

/** The rows in the order of their evaluation. */
function evaluationOrder(required: readonly string[]): readonly FieldRow[] {
    const rows = new Map(FIELDS.map((row) => [row.field, row]));
    const first = required.flatMap((field) => rows.get(field) ?? []);
    const rest = FIELDS.filter(({ field }) => !required.includes(field));
    return [...first, ...rest.map(({ field, rule }) => ({ field, rule }))];
}

const ORDERED: Readonly<Record<Profile['required'], readonly FieldRow[]>> = {
    full: evaluationOrder(REQUIRED.full),
    minimal: evaluationOrder(REQUIRED.minimal),
};

/** The rules for an image in this state: in a datacenter a placeholder may lack what is not known yet (manifest.md §3). */
export function profileFor({ mode, channels }: ImageRules, state: unknown): Profile {
    return {
        mode,
        channels: channels !== undefined,
        required: mode === 'dc' && state === 'creating' ? 'minimal' : 'full',
    };
}

/**
 * Everything that is wrong with a normalised record, in the contract's order; empty for a valid image. Never throws
 * for a record that came from JSON.
 */
export function validateImage(raw: JsonObject, profile: Profile): FieldError[] {
    const context: RuleContext = {
        mode: profile.mode,
        channels: profile.channels,
        type: raw.type,
        state: raw.state,
        activated: rawBoolean(raw.activated),
    };
    const errors = storedFormErrors(raw);
    for (const row of ORDERED[profile.required]) {
        const value = raw[row.field === 'tags' ? 'tagsObj' : row.field];
        // Every image that is read is validated; most fields of most images are absent and may be.
        if (value !== undefined || row.required) {
            errors.push(...fieldErrors(row, value, context));
        }
    }
    return errors;
}

/** @throws ApiError ValidationFailed if the record is no valid image; see {@link validateImage} */
export function assertValidImage(raw: JsonObject, profile: Profile): void {
    const errors = validateImage(raw, profile);
    if (errors.length > 0) {
        throw invalidImage('The image data is not valid', errors);
    }
}

/** 422 ValidationFailed over several fields; `what` begins the message, which then lists them. */
export function invalidImage(what: string, errors: FieldError[]): ApiError {
    const fields = errors.map(({ field }) => field).join(', ');
    return new ApiError('ValidationFailed', `${what}: ${fields}.`, { errors });
}

/** Complaints about the two fields whose stored form differs from the served one. */
function storedFormErrors({ tags, icon }: JsonObject): FieldError[] {
    const wrongIcon = content.iconError(icon);
    const wrongTags =
        tags !== undefined && !(Array.isArray(tags) && tags.every((tag) => typeof tag === 'string'));
    const errors: FieldError[] = [];
    if (wrongTags) {
        const message = 'The stored search tags are not an array of strings.';
        errors.push({ field: 'tags', code: 'Invalid', message });
    }
    if (wrongIcon) {
        errors.push(wrongIcon);
    }
    return errors;
}

const NO_ERRORS: readonly FieldError[] = [];

function fieldErrors(row: FieldRow, value: unknown, context: RuleContext): readonly FieldError[] {
    const { field } = row;
    if (value === undefined) {
        const reason = row.required?.(context);
        return reason === undefined
            ? NO_ERRORS
            : [{ field, code: 'MissingParameter', message: `The field "${field}" is missing: ${reason}.` }];
    }
    const complaints = isNestedDeeper(value, MAX_DEPTH)
        ? [`Arrays and objects are nested more than ${MAX_DEPTH} levels deep.`]
        : row.rule(value, context);
    if (complaints.length === 0) {
        return NO_ERRORS;
    }
    return complaints.map((complaint) =>
        typeof complaint === 'string' ? { field, code: 'Invalid', message: complaint } : complaint,
    );
}
