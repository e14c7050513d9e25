/*
 * Runs of ChaCha20-Poly1305 datagrams through Intel's ipsec-mb, opened at run time.
 *
 * The library exports few stable symbols: everything goes through function pointers in its manager
 * structure, whose layout is only known to the header. Hence this file, compiled against the header,
 * and the check that the library found at run time has the same major and minor version.
 *
 * Invariants: a manager is used by one thread at a time; no datagram leaves seal_run in clear, also
 * when the library fails; nothing outside `run[0 .. len]` and `verdicts[0 .. count]` is written.
 */
#include <dlfcn.h>
#include <intel-ipsec-mb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { HEADER_LEN = 16, TAG_LEN = 16, KEY_LEN = 32, NONCE_LEN = 12, COUNTER_OFFSET = 4 };

/* The last byte of a version is the patch level, which keeps the layout. */
#define LAYOUT_VERSION(version) ((version) >> 8)

static IMB_MGR *(*library_alloc)(uint64_t flags);
static void (*library_free)(IMB_MGR *manager);
static void (*library_init)(IMB_MGR *manager);

/* Opens the library. Returns NULL, or why it cannot be used. Call it once. */
const char *whalescale_mb_load(void)
{
        static char reason[160];
        char soname[32];
        unsigned (*version)(void);
        void *library;

        snprintf(soname, sizeof soname, "libIPSec_MB.so.%u", (unsigned)IMB_VERSION_NUM >> 16);
        library = dlopen(soname, RTLD_NOW | RTLD_LOCAL);
        if (library == NULL) {
                snprintf(reason, sizeof reason, "%s", dlerror());
                return reason;
        }
        *(void **)&version = dlsym(library, "imb_get_version");
        *(void **)&library_alloc = dlsym(library, "alloc_mb_mgr");
        *(void **)&library_free = dlsym(library, "free_mb_mgr");
        *(void **)&library_init = dlsym(library, "init_mb_mgr_avx512");
        if (version == NULL || library_alloc == NULL || library_free == NULL || library_init == NULL) {
                snprintf(reason, sizeof reason, "%s lacks a function that is needed", soname);
                return reason;
        }
        if (LAYOUT_VERSION(version()) != LAYOUT_VERSION((unsigned)IMB_VERSION_NUM)) {
                snprintf(reason, sizeof reason, "%s has version %x, this build needs %x", soname,
                         version(), (unsigned)IMB_VERSION_NUM);
                return reason;
        }
        return NULL;
}

/* A manager for one thread, or NULL. Only after whalescale_mb_load succeeded. */
void *whalescale_mb_new(void)
{
        IMB_MGR *manager = library_alloc(0);

        if (manager == NULL)
                return NULL;
        library_init(manager);
        if (manager->imb_errno != 0 || manager->used_arch != IMB_ARCH_AVX512) {
                library_free(manager);
                return NULL;
        }
        return manager;
}

void whalescale_mb_free(void *manager)
{
        library_free(manager);
}

/*
 * One message: ciphers `len` bytes in place and puts the computed tag at `tag`.
 *
 * The job API without its argument checks is the fastest of the library's interfaces for this
 * cipher; a job of it completes within submit, so nothing is ever left in flight.
 */
static inline bool process(IMB_MGR *manager, const uint8_t *key, const uint8_t *nonce, const uint8_t *aad,
                           size_t aad_len, IMB_CIPHER_DIRECTION direction, uint8_t *payload, size_t len, uint8_t *tag)
{
        IMB_JOB *job = IMB_GET_NEXT_JOB(manager);

        job->cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
        job->hash_alg = IMB_AUTH_CHACHA20_POLY1305;
        job->cipher_direction = direction;
        job->chain_order = direction == IMB_DIR_ENCRYPT ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
        job->enc_keys = key;
        job->dec_keys = key;
        job->key_len_in_bytes = KEY_LEN;
        job->iv = nonce;
        job->iv_len_in_bytes = NONCE_LEN;
        job->src = payload;
        job->dst = payload;
        job->cipher_start_src_offset_in_bytes = 0;
        job->msg_len_to_cipher_in_bytes = len;
        job->hash_start_src_offset_in_bytes = 0;
        job->msg_len_to_hash_in_bytes = len;
        job->u.CHACHA20_POLY1305.aad = aad;
        job->u.CHACHA20_POLY1305.aad_len_in_bytes = aad_len;
        job->auth_tag_output = tag;
        job->auth_tag_output_len_in_bytes = TAG_LEN;
        job = IMB_SUBMIT_JOB_NOCHECK(manager);
        return job != NULL && job->status == IMB_STATUS_COMPLETED;
}

/* A datagram's payload, under its counter and without associated data. */
static bool process_payload(IMB_MGR *manager, const uint8_t *key, uint64_t counter, IMB_CIPHER_DIRECTION direction,
                            uint8_t *payload, size_t len, uint8_t *tag)
{
        uint8_t nonce[NONCE_LEN] = { 0 };

        memcpy(nonce + COUNTER_OFFSET, &counter, sizeof counter);
        return process(manager, key, nonce, NULL, 0, direction, payload, len, tag);
}

/* Compares in a time that does not depend on where the tags differ. */
static bool tags_equal(const uint8_t *left, const uint8_t *right)
{
        uint64_t a[2], b[2];

        memcpy(a, left, TAG_LEN);
        memcpy(b, right, TAG_LEN);
        return ((a[0] ^ b[0]) | (a[1] ^ b[1])) == 0;
}

/* Seals each datagram of the run; see AeadKey::seal_run. */
void whalescale_mb_seal_run(void *manager, const uint8_t *key, uint64_t first_counter, uint8_t *run, size_t len,
                            size_t stride)
{
        for (size_t at = 0; at < len; at += stride, first_counter++) {
                uint8_t *datagram = run + at;
                size_t size = len - at < stride ? len - at : stride;

                if (size < HEADER_LEN + TAG_LEN)
                        continue;
                /* A failed job must not let plaintext out: zeros are refused by the receiver. */
                if (!process_payload(manager, key, first_counter, IMB_DIR_ENCRYPT, datagram + HEADER_LEN,
                             size - HEADER_LEN - TAG_LEN, datagram + size - TAG_LEN))
                        memset(datagram + HEADER_LEN, 0, size - HEADER_LEN);
        }
}

/* Opens the first `count` datagrams of the run; see AeadKey::open_run. */
void whalescale_mb_open_run(void *manager, const uint8_t *key, const uint64_t *counters, size_t count, uint8_t *run,
                            size_t len, size_t stride, bool *verdicts)
{
        for (size_t n = 0, at = 0; n < count && at < len; n++, at += stride) {
                uint8_t *datagram = run + at;
                size_t size = len - at < stride ? len - at : stride;
                uint8_t tag[TAG_LEN];

                verdicts[n] = size >= HEADER_LEN + TAG_LEN &&
                              process_payload(manager, key, counters[n], IMB_DIR_DECRYPT, datagram + HEADER_LEN,
                                              size - HEADER_LEN - TAG_LEN, tag) &&
                              tags_equal(tag, datagram + size - TAG_LEN);
        }
}

/* One message with any nonce and associated data, as published vectors have them. */
bool whalescale_mb_message(void *manager, const uint8_t *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_len,
                           bool seal, uint8_t *payload, size_t len, uint8_t *tag)
{
        return process(manager, key, nonce, aad, aad_len, seal ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT, payload, len, tag);
}
