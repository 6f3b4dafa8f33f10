/** The block `auth` of the configuration: who may do what, and how well they have to prove it (daemon.md §5). */
import { DAY, flag, oneOf, time, type KeySchema } from './key-schema';

/** Each may do all that those before it may. */
export const ROLES = ['read', 'write', 'admin'] as const;

const ROLE_NAMES = ROLES.map((role) => `"${role}"`).join(', ');

const roles: KeySchema = {
    type: 'object',
    default: {},
    additionalProperties: {
        type: ['string', 'object'],
        required: ['role'],
        properties: {
            role: oneOf(ROLES),
            channels: {
                type: 'array',
                minItems: 1,
                items: { type: 'string', expected: 'the name of a channel' },
                expected: 'an array of at least one name of a channel',
            },
        },
        expected: `one of ${ROLE_NAMES}, or an object with "role" and "channels"`,
    },
    expected: 'an object from user names to roles',
    description:
        'What users may do: `read` sees what an operator sees, `write` also changes images, `admin` does everything. ' +
        'A role, or `{"role", "channels"}` to give it in some channels only. A user with a key who is not named is ' +
        '`admin`. Names of the form `cn:NAME` are for client certificates (`tls.clientCa`). See docs/access.md.',
};

export const authBlock: KeySchema = {
    type: 'object',
    default: {},
    expected: 'an object',
    properties: {
        reads: {
            ...oneOf(
                ['anonymous', 'signed'],
                'Who may have lists, manifests, files and icons in the modes `public` and `private`: everybody, or ' +
                    'whoever signs the request.',
            ),
            default: 'anonymous',
        },
        hideUnpublished: flag(
            'Answer requests without a signature for an image that is not active as if it did not exist.',
            false,
        ),
        roles,
        requireSigned: {
            type: 'array',
            default: [],
            items: {
                type: 'string',
                // Without its parentheses it would be a header, which no request has.
                pattern: "^(\\(request-target\\)|(?![Rr]equest-[Tt]arget$)[!#$%&'*+.^_`|~0-9A-Za-z-]+)$",
                expected: '"(request-target)", "request-line", or the name of a header',
            },
            expected: 'an array of "(request-target)", "request-line", "digest" and other names of headers',
            description:
                'What every signature has to cover beside the date. `(request-target)` and `request-line` stand for ' +
                'each other. `digest` is asked of requests with a body.',
        },
        replayWindow: time(
            undefined,
            'Accept every signature once only, by all processes that share the database together, and none whose ' +
                'date is off by more than this. Absent: dates may be off by 300 s, and a signature may be repeated.',
            1000,
            300_000,
        ),
        keyPollInterval: time(
            3_600_000,
            'How often keys are fetched from the object store. After a failure it is tried again within 30 s.',
            1000,
            DAY,
        ),
    },
};
