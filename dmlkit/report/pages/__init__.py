"""From executed notebooks to pages that ask for nothing outside.

rendering    one executed notebook → one HTML page
harmless     what others' HTML may do on it: nothing
page         what surrounds it; where its neighbours are
index        the index page
summary      results.json: the ladder, the data, the conditions
front        both, written where they would tell something new
wording      times in words
outside      what a page would fetch from elsewhere
"""
