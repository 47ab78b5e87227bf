"""The page's files: always to be had, and sent only once to a browser that keeps them."""

import resource

import psutil

from tests.signaling.house import House


async def test_a_browser_that_has_a_file_is_not_sent_it_again(house: House) -> None:
    async with house.http.get(f"{house.url}/offhook.js") as response:
        etag = response.headers["ETag"]
        assert response.headers["Cache-Control"] == "no-cache"
    async with house.http.get(f"{house.url}/offhook.js", headers={"If-None-Match": f'"other", {etag}'}) as response:
        assert (response.status, await response.read()) == (304, b"")
    async with house.http.get(f"{house.url}/offhook.js", headers={"If-None-Match": '"other"'}) as response:
        assert response.status == 200


async def test_the_page_is_there_when_no_descriptor_is_left(house: House) -> None:
    await house.health()  # opens the connection, which is kept
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (psutil.Process().num_fds(), hard))
    try:
        async with house.http.get(house.url, headers={"Accept": "text/html"}) as response:
            status, content = response.status, await response.text()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert status == 200
    assert "</html>" in content
