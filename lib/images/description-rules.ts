/** Rules about the fields that say what an image is, whose it is, and what stands about it (manifest.md §2). */
import { IMAGE_STATES, isUuid } from '../manifest';
import { arrayRule, isIndexable, oneOf, textRule, wrongMembers, type Rule } from './field-rule';
import { hasNul, isObject, show, toBoolean, toNumber } from './json';
import { searchTags } from './tags';

const PUBLISHED_AT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{3})?Z$/;
const MAX_URL_CHARACTERS = 1024;
const MAX_BILLING_TAG_CHARACTERS = 128;
/** Characters of the tags written as JSON. */
const MAX_TAGS_CHARACTERS = 102_400;

export const versionNumberRule: Rule = (value) => {
    const version = toNumber(value);
    return Number.isFinite(version) && version >= 0
        ? []
        : [`The manifest version ${show(value)} is not a number of 0 or more; the current one is 2.`];
};

/** Falsy values pass: they are never served. */
export const urnRule: Rule = (value) =>
    !value || isIndexable(value) ? [] : [`The urn ${show(value)} is not a string.`];

export const nameRule = textRule(1024, {
    pattern: /^[A-Za-z0-9._/ -]+$/,
    inWords: 'letters, digits, space, ".", "-", "_" and "/"',
});

export const versionRule = textRule(512, {
    pattern: /^[A-Za-z0-9._/+-]+$/,
    inWords: 'letters, digits, ".", "-", "_", "+" and "/"',
});

export const descriptionRule = textRule(10_240);

/** Only protocol and length are looked at, so that no stored image becomes unreadable over a strange host. */
export const urlRule: Rule = (value) => {
    if (typeof value !== 'string') {
        return [`The value ${show(value)} is not a string.`];
    }
    const complaints: string[] = [];
    if (!/^\s*https?:/i.test(value)) {
        complaints.push(`The URL ${show(value)} is neither http: nor https:.`);
    }
    if (value.length > MAX_URL_CHARACTERS) {
        complaints.push(`The URL is ${value.length} characters long; ${MAX_URL_CHARACTERS} are allowed.`);
    }
    return complaints;
};

/** Falsy values pass: the image counts as not published. */
export const publishedAtRule: Rule = (value) =>
    !value || (typeof value === 'string' && PUBLISHED_AT.test(value))
        ? []
        : [`The date ${show(value)} is not of the form 2024-01-31T12:00:00Z or 2024-01-31T12:00:00.000Z.`];

export const stateRule = oneOf(IMAGE_STATES);

/** A repository holds images of one kind only: a public one public images, a private one private images. */
export const publicRule: Rule = (value, { mode }) => {
    const isPublic = toBoolean(value);
    if (isPublic === undefined) {
        return [`The value ${show(value)} is neither true nor false.`];
    }
    if (mode === 'public' && !isPublic) {
        return ['The value is false, but this is a public repository: all of its images are public.'];
    }
    if (mode === 'private' && isPublic) {
        return ['The value is true, but this is a private repository: none of its images is public.'];
    }
    return [];
};

export const errorRule: Rule = (value) =>
    typeof value === 'object' ? [] : [`The value ${show(value)} is not an object.`];

/** Only the first wrong entry is reported. */
export const aclRule: Rule = (value) => {
    if (!Array.isArray(value)) {
        return [`The value ${show(value)} is not an array of account UUIDs.`];
    }
    const index = value.findIndex((entry) => !isUuid(entry));
    return index === -1 ? [] : [`Item ${index} of the list is ${show(value[index])}, which is not a UUID.`];
};

export const billingTagsRule = arrayRule(
    (entry) => isIndexable(entry) && entry.length <= MAX_BILLING_TAG_CHARACTERS,
    `a string of at most ${MAX_BILLING_TAG_CHARACTERS} characters, none of them NUL`,
);

export const traitsRule: Rule = (value) => {
    if (!isObject(value)) {
        return [`The value ${show(value)} is not an object.`];
    }
    return wrongMembers(
        value,
        (member) => typeof member === 'string' || typeof member === 'boolean' || Array.isArray(member),
    ).map(([key, member]) => `The trait ${show(key)} is ${show(member)}, not a string, boolean or array.`);
};

/** The tags as served, a raw record's `tagsObj`. */
export const tagsRule: Rule = (value) => {
    if (!isObject(value)) {
        return [`The value ${show(value)} is not an object.`];
    }
    if (searchTags(value).some(hasNul)) {
        return ['A tag has a NUL character in its key or value; remove it.'];
    }
    const size = JSON.stringify(value).length;
    return size > MAX_TAGS_CHARACTERS
        ? [`The tags are ${size} characters of JSON; ${MAX_TAGS_CHARACTERS} are allowed.`]
        : [];
};

const channelNames = arrayRule((entry) => typeof entry === 'string', 'the name of a channel');

/** The names need not be configured: a channel may be taken out of the configuration while images are in it. */
export const channelsRule: Rule = (value, context) =>
    context.channels
        ? channelNames(value, context)
        : [`The value is ${show(value)}, but this server is not configured for channels.`];
