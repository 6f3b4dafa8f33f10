// The names Node.js gives to plain scripts.
export default {
    process: 'readonly',
    console: 'readonly',
    Buffer: 'readonly',
    URL: 'readonly',
    setTimeout: 'readonly',
    clearTimeout: 'readonly',
    fetch: 'readonly',
};

const readonly = (names) => Object.fromEntries(names.map((name) => [name, 'readonly']));

/** What tasks of workflows find around them (lib/dc/workflows). */
export const workflowGlobals = readonly([
    'setTimeout',
    'clearTimeout',
    'imgapiUrl',
    'vmapiUrl',
    'cnapiUrl',
    'restify',
    // Of lib/dc/workflows/requests.cjs.
    'ask',
    'askOften',
    'failure',
    'fromText',
    'mayPass',
]);
